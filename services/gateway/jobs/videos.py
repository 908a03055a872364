"""What clients do with video jobs: ask for one, look at it, follow it, call it off."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from functools import partial

from anyio import to_thread

from services.contract.errors import AtCapacity, Conflict, InvalidRequest, NotFound, TooManyRequests
from services.contract.jobs import VideoJob
from services.gateway.casting import Cast, Casting
from services.gateway.clients import AvatarClient
from services.gateway.jobs.asking import JobAsk, SceneAsk
from services.gateway.jobs.queue import JobQueue
from services.gateway.jobs.record import Claim, JobEvent, JobRecord
from services.gateway.jobs.shelf import FilmShelf
from services.gateway.jobs.store import JobStore, Room
from services.gateway.jobs.tasks import film_task
from services.gateway.jobs.terms import is_event_id
from services.gateway.jobs.webhooks import Webhooks
from services.gateway.requests import VideoAsk, VideoRequest
from services.gateway.script import Scene, Script
from services.gateway.settings import GatewaySettings

_SHOWN_CHARS = 2_000
"""Of the text, in job objects; events carry it too."""


class VideoJobs:
    """The jobs of all clients. One client never sees those of another."""

    def __init__(
        self,
        settings: GatewaySettings,
        casting: Casting,
        avatar: AvatarClient,
        store: JobStore,
        queue: JobQueue,
        webhooks: Webhooks,
        shelf: FilmShelf,
    ) -> None:
        self._settings = settings
        self._casting = casting
        self._avatar = avatar
        self._store = store
        self._queue = queue
        self._webhooks = webhooks
        self._shelf = shelf

    async def create(self, asked: JobAsk, owner: str, key: str) -> tuple[VideoJob, bool]:
        """Return a new job, and whether it is the one an earlier request with the same `key` made.

        Raises what casting raises; `InvalidRequest` for a key that stands for another request, `Conflict` while
        that one is being taken in; `AtCapacity` and `TooManyRequests`.
        """
        return await self._once(owner, key, asked.digest, partial(self._asked, asked, owner))

    async def remix(self, job_id: str, prompt: str, owner: str, key: str) -> tuple[VideoJob, bool]:
        """Return a new job, the film of another one with another text; otherwise as `create`."""
        digest = hashlib.sha256(f"{job_id} {prompt}".encode()).hexdigest()
        return await self._once(owner, key, digest, partial(self._remixed, job_id, prompt, owner))

    async def get(self, job_id: str, owner: str) -> JobRecord:
        """Return a job; raises `NotFound`."""
        record = await self._store.get(job_id)
        if record is None or record.owner != owner:
            raise NotFound(f"There is no video {job_id!r}; it may have expired.", param="video_id")
        return record

    async def listed(self, owner: str, after: str, limit: int, *, newest_first: bool) -> tuple[list[VideoJob], bool]:
        """Return a page of jobs, and whether there are more. Raises `NotFound` for an unknown `after`."""
        if after:
            await self.get(after, owner)
        page = await self._store.listed(owner, after, limit, newest_first=newest_first)
        return [record.job for record in page.records], page.has_more

    async def delete(self, job_id: str, owner: str) -> None:
        """Call a job off, and remove its film; raises `NotFound`."""
        await self.get(job_id, owner)
        # The worker that makes it finds it gone, within seconds, and stops.
        await self._store.remove(job_id)
        await to_thread.run_sync(self._shelf.remove, job_id)

    async def events(self, job_id: str, owner: str, after: str) -> AsyncGenerator[JobEvent | None, None]:
        """Return the events of a job; raises `NotFound`, or `InvalidRequest` for what is no id of an event."""
        if after and not is_event_id(after):
            raise InvalidRequest("Last-Event-ID: this is no id of an event of ours.", param="Last-Event-ID")
        await self.get(job_id, owner)
        return self._store.events(job_id, after)

    async def _once(
        self, owner: str, key: str, digest: str, make: Callable[[str], Awaitable[JobRecord]]
    ) -> tuple[VideoJob, bool]:
        """Enqueue what `make` makes of a new id, but once only for each key."""
        job_id = f"video_{uuid.uuid4().hex}"
        if not key:
            return await self._enqueue(await make(job_id)), False
        claim = Claim(digest=digest, job_id=job_id)
        known = await self._store.claim(owner, key, claim)
        if known is not None:
            return await self._replayed(known, digest), True
        try:
            record = await make(job_id)
        except BaseException:
            await self._store.unclaim(owner, key)
            raise
        # From here on the job may exist, whatever the answer to this tells; but not where there is no room.
        await self._store.settle(owner, key, claim)
        try:
            return await self._enqueue(record), False
        except (AtCapacity, TooManyRequests):
            await self._store.unclaim(owner, key)
            raise

    async def _replayed(self, known: Claim, digest: str) -> VideoJob:
        if known.digest != digest:
            raise InvalidRequest(
                "Idempotency-Key: it stands for another request; use a new key.", param="Idempotency-Key"
            )
        if (record := await self._store.get(known.job_id)) is None:
            if known.settled:
                raise Conflict("The job of this Idempotency-Key is gone; use a new key.", param="Idempotency-Key")
            raise Conflict("The request with this Idempotency-Key is still being taken in.", retry_after_s=1)
        return record.job

    async def _asked(self, asked: JobAsk, owner: str, job_id: str) -> JobRecord:
        ask = asked.ask
        if len(ask.parts) > self._settings.jobs_most_scenes:
            raise InvalidRequest(
                f"scenes: {len(ask.parts)} are more than {self._settings.jobs_most_scenes}; make several films.",
                param="scenes",
            )
        if ask.webhook_url:
            await self._webhooks.check(ask.webhook_url)
        script, notices = await self._script(asked)
        engine = (await self._avatar.engine()).engine
        if ask.model and ask.model != engine:
            notices += (f"model has no effect: {engine} makes the pictures here.",)
        if ask.seconds is not None:
            notices += ("seconds has no effect: a film lasts as long as its text.",)
        job = _job(job_id, engine, script, notices, ask.priority)
        return JobRecord(job=job, owner=owner, script=script, persist=ask.persist, webhook_url=ask.webhook_url)

    async def _remixed(self, source_id: str, prompt: str, owner: str, job_id: str) -> JobRecord:
        source = await self.get(source_id, owner)
        if len(source.script.scenes) > 1:
            raise InvalidRequest("This film has several scenes; send all of them to POST /v1/videos.", param="prompt")
        self._casting.check_text(prompt)
        script = replace(source.script, scenes=(replace(source.script.scenes[0], text=prompt),))
        job = _job(job_id, source.job.model, script, (), source.job.priority)
        job = job.model_copy(update={"remixed_from_video_id": source_id})
        return source.model_copy(update={"job": job, "script": script, "put_off_since": None})

    async def _script(self, asked: JobAsk) -> tuple[Script, tuple[str, ...]]:
        """Return the script of all scenes, and what is to be told of it."""
        self._casting.check_video()
        self._casting.check_text("\n".join(scene.text for scene in asked.ask.parts))
        casts: dict[tuple[str | None, str | None], Cast] = {}
        scenes: list[Scene] = []
        for part in asked.ask.parts:
            looks = part.voice, part.avatar
            if looks not in casts:
                casts[looks] = await self._casting.cast(_video_ask(asked, part))
            [scene] = casts[looks].script.scenes
            background = part.background or asked.ask.background
            scenes.append(replace(scene, text=part.text, background=background, pause_s=part.pause))
        first = next(iter(casts.values()))
        notices = dict.fromkeys(notice for cast in casts.values() for notice in cast.notices)
        return replace(first.script, scenes=tuple(scenes)), tuple(notices)

    async def _enqueue(self, record: JobRecord) -> VideoJob:
        """Take a job in; raises `AtCapacity` or `TooManyRequests`."""
        room = Room(self._settings.jobs_open, self._settings.jobs_open_each)
        added = await self._store.add(record, film_task(record.id), room)
        if added == "added":
            return record.job
        in_s = (await self._store.throughput()).wait_s(0)
        if added == "owner_full":
            raise TooManyRequests(f"{room.of_each} of your jobs are not done yet.", retry_after_s=in_s)
        raise AtCapacity(f"{await self._queue.waiting()} jobs wait already; try again later.", retry_after_s=in_s)


def _job(job_id: str, engine: str, script: Script, notices: tuple[str, ...], priority: str) -> VideoJob:
    return VideoJob.model_validate(
        {
            "id": job_id,
            "model": engine,
            "status": "queued",
            "progress": 0,
            "created_at": int(time.time()),
            "size": f"{script.width}x{script.height}",
            "seconds": "0",
            "prompt": script.text[:_SHOWN_CHARS],
            "priority": priority,
            "notices": list(notices),
        }
    )


def _video_ask(asked: JobAsk, part: SceneAsk) -> VideoAsk:
    """Return one scene as a request for a film."""
    fields = asked.ask.model_dump(include=set(VideoRequest.model_fields) - {"text"})
    ref_audio = asked.ref_audio
    if part.voice is not None:
        fields |= {"voice": part.voice, "tts_voice": "", "ref_audio": "", "ref_text": ""}
        ref_audio = None
    if part.avatar is not None:
        fields |= {"avatar": part.avatar, "avatar_path": ""}
    picture = asked.avatar_image if part.avatar is None else None
    return VideoAsk(VideoRequest(text=part.text, **fields), picture, ref_audio)
