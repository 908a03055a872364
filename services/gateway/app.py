"""The gateway over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry

from services.chassis.app import create_service_app
from services.chassis.ending import end_tasks
from services.chassis.metrics import metrics_router
from services.chassis.prerendering import prerender
from services.gateway.casting import Casting
from services.gateway.clients import Animator, AvatarClient, TtsClient
from services.gateway.copying import Copying
from services.gateway.fetching import AudioFetcher
from services.gateway.jobs.office import open_office
from services.gateway.jobs.videos import VideoJobs
from services.gateway.keeping import Keeping
from services.gateway.languages import detector
from services.gateway.live.pages import Pages
from services.gateway.live.rest import Rest
from services.gateway.live.seats import Seats
from services.gateway.live.webrtc.broadcast import Broadcasts
from services.gateway.llm import language_model
from services.gateway.narration import narrate
from services.gateway.newavata.client import NewAvataClient
from services.gateway.newavata.results import Results
from services.gateway.newavata.serving import NewAvataStudio
from services.gateway.newavata.turns import Turns
from services.gateway.outputs import Outputs
from services.gateway.outside import Outside
from services.gateway.pipeline import FilmMaker, Pace
from services.gateway.prerender import film_for_later, speak_for_later
from services.gateway.push.posting import Posting
from services.gateway.push.transfers import Transfers
from services.gateway.routes.cache import cache_router
from services.gateway.routes.clone import clone_router
from services.gateway.routes.elevenlabs import elevenlabs_router
from services.gateway.routes.live import LiveParts, live_router
from services.gateway.routes.newavata import newavata_router
from services.gateway.routes.newavata_proxy import newavata_proxy
from services.gateway.routes.push import push_router
from services.gateway.routes.remote_video import remote_video_router
from services.gateway.routes.respond import respond_router
from services.gateway.routes.speech import speech_router
from services.gateway.routes.status import status_router
from services.gateway.routes.synthesize import synthesize_router
from services.gateway.routes.twilio import twilio_router
from services.gateway.routes.video import video_router
from services.gateway.routes.videos import no_videos_router, videos_router
from services.gateway.routes.voices import voices_router
from services.gateway.routes.whep import WebRtc, whep_router
from services.gateway.settings import GatewaySettings
from services.gateway.speakers import Speakers

_log = logging.getLogger(__name__)

_STUDIO = Path(__file__).parent / "studio"
_SWEEP_EVERY_S = 30.0


def create_app(settings: GatewaySettings) -> FastAPI:
    """Return the gateway to the services that `settings` name."""
    registry = CollectorRegistry()
    parts = _Parts(settings, registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        detector()  # it loads from here on, and nobody has to wait for it
        tasks = [asyncio.create_task(work) for work in parts.background()]
        yield
        await end_tasks(*tasks)
        await parts.close()

    async def ready() -> None:
        await parts.tts.check_ready()
        if settings.enable_video:
            await parts.animator.check_ready()

    routers = [parts.video_router(), *parts.speech_routers(), *parts.live_routers(), metrics_router(registry)]
    app = create_service_app("Talkie", settings, lifespan=lifespan, ready=ready, routers=routers)
    app.mount("/", StaticFiles(directory=_STUDIO, html=True), name="studio")
    return app


class _Parts:
    """What the routes of one gateway share."""

    def __init__(self, settings: GatewaySettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._keeping = Keeping(settings, registry)
        self.tts, self._avatar = TtsClient(settings.tts_url), AvatarClient(settings.avatar_url)
        self.animator: Animator = (
            NewAvataClient(settings.newavata_api_url) if settings.use_newavata_api else self._avatar
        )
        self._copying = Copying(self.tts, AudioFetcher(Outside()) if settings.reference_urls else None)
        self._casting = Casting(settings, self.tts, self._avatar, self._copying)
        pace = Pace(look_ahead=settings.look_ahead, rendered_at_once=settings.parallel_segments)
        self._films = FilmMaker(self.tts, self._avatar, pace, self._keeping.cache)
        self._office = open_office(settings, self._films, self._avatar)
        self._results = Results(settings.video_output_dir, settings.results_kept_s)
        self._speakers, self._outputs = Speakers(self.tts), Outputs()
        self._model = language_model(settings)
        self._pages = Pages(settings.live_origins)
        self._seats = Seats(settings.live_sessions, self._pages, registry)
        self._rest = Rest(self._films)
        self._broadcasts, self._webrtc = Broadcasts(), WebRtc(settings)
        self._transfers = Transfers(settings, partial(narrate, self.tts), registry)
        self._posting = Posting(settings.push_http_url, settings.push_ack_timeout_s)

    @property
    def _films_here(self) -> bool:
        return self._settings.enable_video and self.animator is self._avatar

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on as long as the gateway runs."""
        works = [_sweep(self._results)]
        if self._films_here and self._settings.jobs_inside:
            works.append(self._office.worker.run())
        if self._settings.prerender_speech:
            works.append(prerender(self._settings.prerender_speech, partial(speak_for_later, self.tts)))
        if self._settings.prerender:
            works.append(self._prerender())
        return works

    async def _prerender(self) -> None:
        if self._films_here:
            await prerender(self._settings.prerender, partial(film_for_later, self._casting, self._films))
        else:
            why = "USE_NEWAVATA_API=true" if self._settings.enable_video else "ENABLE_VIDEO=false"
            _log.warning("GATEWAY_PRERENDER has no effect: no films are made here (%s)", why)

    async def close(self) -> None:
        """Let go of connections: first of those who look and listen, then of the services."""
        await self._webrtc.aclose()
        await self._rest.aclose()
        await self._transfers.aclose()
        await self._posting.aclose()
        if self._model is not None:
            await self._model.aclose()
        await self._office.close()
        await self.tts.aclose()
        await self._avatar.aclose()
        if self.animator is not self._avatar:
            await self.animator.aclose()
        await self._keeping.close()

    def video_router(self) -> APIRouter:
        """Return the routes of films; where video is switched off, each of them says so."""
        films = APIRouter(dependencies=[Depends(self._video_is_on)])
        remote = self.animator if isinstance(self.animator, NewAvataClient) else None
        for router in self._remote_routers(remote) if remote else self._film_routers():
            films.include_router(router)
        return films

    async def _video_is_on(self) -> None:
        self._casting.check_video()

    def _remote_routers(self, server: NewAvataClient) -> list[APIRouter]:
        return [remote_video_router(self._casting, server), newavata_proxy(server), no_videos_router()]

    def _film_routers(self) -> list[APIRouter]:
        settings, office = self._settings, self._office
        turns = Turns(settings.films_at_once, settings.films_waiting)
        studio = NewAvataStudio(
            self._casting,
            self._films,
            self._speakers,
            self._avatar,
            turns,
            self._results,
            self._outputs,
            settings.public_url,
        )
        jobs = VideoJobs(
            settings, self._casting, self._avatar, office.store, office.queue, office.webhooks, office.shelf
        )
        return [
            video_router(self._casting, self._films, self._speakers, self.tts, self._avatar, self._keeping.films),
            videos_router(jobs, office.shelf),
            newavata_router(studio, self._speakers, self._avatar, self._results),
        ]

    def speech_routers(self) -> list[APIRouter]:
        """Return the routes of speech by itself."""
        settings, tts = self._settings, self.tts
        return [
            speech_router(settings, tts, self._copying, self._keeping.spoken),
            voices_router(tts),
            clone_router(settings, tts, self._copying),
            cache_router(tts, self._keeping.spoken),
            synthesize_router(settings, tts, self._outputs),
            push_router(settings, tts, self._transfers, self._posting),
            status_router(settings, tts, self.animator),
        ]

    def live_routers(self) -> list[APIRouter]:
        """Return the routes of what is spoken while it is written."""
        settings, tts = self._settings, self.tts
        films = self._films if self.animator is self._avatar else None
        live = LiveParts(
            tts, self._copying, self._casting, films, self._rest, self._seats, self._broadcasts, self._model
        )
        return [
            live_router(settings, live),
            respond_router(settings, tts, self._copying, self._model, self._seats),
            whep_router(self._casting, self._broadcasts, self._webrtc),
            elevenlabs_router(settings, tts, self._seats),
            twilio_router(settings, tts, self._copying, self._seats, self._pages),
        ]


async def _sweep(results: Results) -> None:
    """Remove films whose time is over, until cancelled."""
    while True:
        try:
            await to_thread.run_sync(results.remove_old)
        except OSError as error:
            _log.warning("old films cannot be looked for: %s", error)
        await asyncio.sleep(_SWEEP_EVERY_S)
