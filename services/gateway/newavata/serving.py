"""Films for NewAvata's clients: the whole text is spoken first, because the avatar is chosen by its length."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote

from anyio import to_thread

from services.chassis.wav import wav_file
from services.contract.errors import ServiceError
from services.contract.newavata import (
    AUTO_AVATAR,
    Availability,
    DoneEvent,
    ElapsedTimes,
    ErrorEvent,
    LipSyncAsk,
    ListedEngine,
    Resolution,
    StageEvent,
)
from services.contract.video import FILM_SAMPLE_RATE_HZ, AvatarInfo
from services.gateway.calling import PATIENCE_S
from services.gateway.casting import Cast, Casting
from services.gateway.clients import AvatarClient
from services.gateway.finish import FilmFile, faststart, gather
from services.gateway.laying import Segment
from services.gateway.newavata.results import Result, Results
from services.gateway.newavata.turns import Turns
from services.gateway.newavata.webm import webm_of
from services.gateway.outputs import Outputs
from services.gateway.pipeline import FilmMaker, fragments_of
from services.gateway.requests import VideoAsk, VideoRequest
from services.gateway.script import Script
from services.gateway.speakers import Speakers

_FRAMES: dict[Resolution, str] = {"720p": "1280x720", "480p": "854x480", "360p": "640x360"}

_LONGEST_SOUND_BYTES = 64 * 1024**2

Tell = Callable[[StageEvent], None]


@dataclass(frozen=True)
class Made:
    """A finished film, and how long it took."""

    result: Result
    audio_s: float
    elapsed: ElapsedTimes


class NewAvataStudio:
    """Makes films the way NewAvata does: one request after the other, announced stage by stage."""

    def __init__(
        self,
        casting: Casting,
        films: FilmMaker,
        speakers: Speakers,
        avatar: AvatarClient,
        turns: Turns,
        results: Results,
        outputs: Outputs,
        public_url: str,
    ) -> None:
        """`public_url` stands before the paths of films and sounds, so that others can fetch them."""
        self._casting = casting
        self._films = films
        self._speakers = speakers
        self._avatar = avatar
        self._results = results
        self._outputs = outputs
        self._public_url = public_url.rstrip("/")
        self.turns = turns

    async def film(self, ask: LipSyncAsk) -> Made:
        """Return the film; raises what `events` tells as an error."""
        return await self._run(ask, ask.sid or uuid.uuid4().hex, lambda event: None)

    def url_of(self, result: Result) -> str:
        """Return where a film can be fetched."""
        return f"{self._public_url}/video/{quote(result.path.name)}"

    async def events(self, ask: LipSyncAsk) -> AsyncGenerator[StageEvent | DoneEvent | ErrorEvent, None]:
        """Yield what happens, and last the film or the error. Closing this cancels the film."""
        sid = ask.sid or uuid.uuid4().hex
        told: asyncio.Queue[StageEvent | None] = asyncio.Queue()
        work = asyncio.create_task(self._run(ask, sid, told.put_nowait))
        work.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (event := await told.get()) is not None:
                yield event
            try:
                made = work.result()
            except ServiceError as error:
                yield ErrorEvent(message=error.detail)
            else:
                yield DoneEvent(
                    video_url=self.url_of(made.result),
                    audio_duration=made.audio_s,
                    persistent=made.result.persistent,
                    elapsed=made.elapsed,
                )
        finally:
            work.cancel()
            await asyncio.wait([work])

    def availability(self) -> Availability:
        """Return whether somebody should come now."""
        load, wait_s = self.turns.load, round(self.turns.wait_s, 1)
        if self.turns.full:
            state, message = "overloaded", "The queue is full; use another server for now."
        elif load.processing_count >= load.max_concurrent:
            state, message = "busy", f"All places are taken; a film would begin in about {wait_s:g} s."
        else:
            state, message = "available", "A film would begin at once."
        return Availability.model_validate(
            load.model_dump()
            | {
                "available": state != "overloaded",
                "availability": state,
                "recommendation": "use_other_service" if state == "overloaded" else "use_this_server",
                "estimated_wait_seconds": wait_s,
                "message": message,
            }
        )

    async def _run(self, ask: LipSyncAsk, sid: str, tell: Tell) -> Made:
        def named(event: StageEvent) -> None:
            tell(event.model_copy(update={"sid": sid}))

        cast = await self._cast(ask)
        if (wait_s := self.turns.wait_s) and not self.turns.full:
            named(StageEvent(stage="tts", message=f"Waiting for about {wait_s:.0f} s ..."))
        return await self.turns.run(sid, partial(self._make, ask, cast, named))

    async def _make(self, ask: LipSyncAsk, cast: Cast, tell: Tell) -> Made:
        began = time.monotonic()
        tell(StageEvent(stage="tts", message=" ".join(["Speaking the text ...", *cast.notices])))
        segments = [segment async for segment in self._films.speak(cast.script)]
        spoken = time.monotonic()
        audio_s = sum(segment.spoken.frames for segment in segments) / float(cast.script.fps)
        heard = await to_thread.run_sync(self._heard, segments)
        tell(StageEvent(stage="tts_done", message="The text is spoken.", audio_url=heard, duration=audio_s))
        tell(StageEvent(stage="lipsync", message="Making the film ..."))
        script = cast.script
        if ask.avatar == AUTO_AVATAR:
            [scene] = script.scenes
            chosen = replace(scene, avatar=longest_enough(await self._avatar.avatars(), audio_s, scene.avatar))
            script = replace(script, scenes=(chosen,))
            segments = [replace(segment, scene=chosen) for segment in segments]
        film = await self._filmed(script, segments)
        if ask.output_format == "webm":
            film = await webm_of(film)
        keep = partial(self._results.keep, film, ask.text, ask.output_format, persist=ask.persist)
        result = await to_thread.run_sync(keep)
        done = time.monotonic()
        times = ElapsedTimes(tts=spoken - began, lipsync=done - spoken, total=done - began)
        return Made(result, audio_s, times)

    async def _cast(self, ask: LipSyncAsk) -> Cast:
        resolution, frame_skip = ask.frames
        self._casting.check_text(ask.text)
        engine, voice, notices = known_speaker(ask, await self._speakers.listed())
        request = VideoRequest(
            text=ask.text,
            avatar=ask.avatar,
            tts_engine=engine,
            voice=voice,
            size=_FRAMES[resolution],
            frame_skip=frame_skip,
        )
        cast = await self._casting.cast(VideoAsk(request))
        return replace(cast, notices=(*cast.notices, *notices))

    async def _filmed(self, script: Script, segments: Sequence[Segment]) -> FilmFile:
        film = self._films.render(script, _each(segments), patience_s=PATIENCE_S)
        async with aclosing(fragments_of(film)) as fragments:
            fragmented = await gather(fragments)
        return await to_thread.run_sync(faststart, fragmented)

    def _heard(self, segments: Sequence[Segment]) -> str | None:
        """Keep the sound for a while, and return where it can be fetched; None for one too long to keep."""
        pcm = b"".join(segment.speech.pcm for segment in segments)
        if len(pcm) > _LONGEST_SOUND_BYTES:
            return None
        return f"{self._public_url}/outputs/{self._outputs.keep(wav_file(pcm, FILM_SAMPLE_RATE_HZ), 'wav')}"


def longest_enough(avatars: Sequence[AvatarInfo], audio_s: float, otherwise: str) -> str:
    """Return the avatar with the shortest clip that lasts as long as the speech, else the longest clip.

    Left out are those whom another voice suits than `otherwise`, which is returned where no other is left.
    """
    voices = {avatar.name: avatar.voice for avatar in avatars}
    suiting = [avatar for avatar in avatars if avatar.motion_s and avatar.voice in (None, voices.get(otherwise))]
    clips = sorted(suiting, key=lambda avatar: avatar.motion_s)
    if not clips:
        return otherwise
    return next((avatar.name for avatar in clips if avatar.motion_s >= audio_s), clips[-1].name)


def known_speaker(ask: LipSyncAsk, engines: Sequence[ListedEngine]) -> tuple[str, str, list[str]]:
    """Return the engine and voice asked for, empty where they do not exist here, and what is to be told of that.

    NewAvata's clients name its own engines and voices, and must work unchanged.
    """
    notices: list[str] = []
    known = {engine.id: engine for engine in engines}
    engine, voice = ask.tts_engine or "", ask.tts_voice or ""
    if engine not in ("", "auto", *known):
        notices.append(f"{engine} does not run here; {engines[0].id} speaks.")
    engine = engine if engine in known else ""
    speaking = [known[engine]] if engine else engines
    if voice and not any(voice in one.voices for one in speaking):
        notices.append(f"There is no voice {voice} here; another one speaks.")
        voice = ""
    return engine, voice, notices


async def _each(segments: Sequence[Segment]) -> AsyncGenerator[Segment, None]:
    for segment in segments:
        yield segment
