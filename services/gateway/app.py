"""The gateway over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry

from services.chassis.app import create_service_app
from services.chassis.metrics import metrics_router
from services.chassis.prerendering import prerender
from services.gateway.casting import Casting
from services.gateway.clients import Animator, AvatarClient, TtsClient
from services.gateway.copying import Copying
from services.gateway.fetching import AudioFetcher
from services.gateway.jobs.office import open_office
from services.gateway.jobs.videos import VideoJobs
from services.gateway.keeping import Keeping
from services.gateway.newavata.client import NewAvataClient
from services.gateway.newavata.results import Results
from services.gateway.newavata.serving import NewAvataStudio
from services.gateway.newavata.turns import Turns
from services.gateway.outputs import Outputs
from services.gateway.outside import Outside
from services.gateway.pipeline import FilmMaker, Pace
from services.gateway.prerender import film_for_later
from services.gateway.routes.cache import cache_router
from services.gateway.routes.clone import clone_router
from services.gateway.routes.newavata import newavata_router
from services.gateway.routes.newavata_proxy import newavata_proxy
from services.gateway.routes.remote_video import remote_video_router
from services.gateway.routes.speech import speech_router
from services.gateway.routes.status import status_router
from services.gateway.routes.synthesize import synthesize_router
from services.gateway.routes.video import video_router
from services.gateway.routes.videos import videos_router
from services.gateway.routes.voices import voices_router
from services.gateway.settings import GatewaySettings
from services.gateway.speakers import Speakers

_log = logging.getLogger(__name__)

_STUDIO = Path(__file__).parent / "studio"
_SWEEP_EVERY_S = 30.0


def create_app(settings: GatewaySettings) -> FastAPI:
    """Return the gateway to the services that `settings` name."""
    registry = CollectorRegistry()
    keeping = Keeping(settings, registry)
    tts, avatar = TtsClient(settings.tts_url), AvatarClient(settings.avatar_url)
    results = Results(settings.video_output_dir, settings.results_kept_s)
    animator: Animator = NewAvataClient(settings.newavata_api_url) if settings.use_newavata_api else avatar

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_sweep(results))]
        filming = settings.enable_video and animator is avatar
        if filming and settings.jobs_inside:
            tasks.append(asyncio.create_task(office.worker.run()))
        if filming and settings.prerender:
            film = partial(film_for_later, casting, films)
            tasks.append(asyncio.create_task(prerender(settings.prerender, film)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await office.close()
        await tts.aclose()
        await avatar.aclose()
        if animator is not avatar:
            await animator.aclose()
        await keeping.close()

    async def ready() -> None:
        await tts.check_ready()
        if settings.enable_video:
            await animator.check_ready()

    copying = Copying(tts, AudioFetcher(Outside()) if settings.reference_urls else None)
    casting = Casting(settings, tts, avatar, copying)
    pace = Pace(look_ahead=settings.look_ahead, rendered_at_once=settings.parallel_segments)
    films = FilmMaker(tts, avatar, pace, keeping.cache)
    office = open_office(settings, films, avatar)
    speakers, outputs = Speakers(tts), Outputs()
    if isinstance(animator, NewAvataClient):
        video = [remote_video_router(casting, animator), newavata_proxy(casting, animator)]
    else:
        turns = Turns(settings.films_at_once, settings.films_waiting)
        studio = NewAvataStudio(casting, films, speakers, avatar, turns, results, outputs, settings.public_url)
        video = [
            video_router(casting, films, speakers, tts, avatar, keeping.films),
            videos_router(
                VideoJobs(settings, casting, avatar, office.store, office.queue, office.webhooks, office.shelf),
                office.shelf,
            ),
            newavata_router(studio, casting, speakers, avatar, results),
        ]
    routers = [
        *video,
        speech_router(settings, tts, copying, keeping.spoken),
        voices_router(tts),
        clone_router(settings, tts, copying),
        cache_router(tts, keeping.spoken),
        synthesize_router(settings, tts, outputs),
        status_router(settings, tts, animator),
        metrics_router(registry),
    ]
    app = create_service_app("Talkie", settings, lifespan=lifespan, ready=ready, routers=routers)
    app.mount("/", StaticFiles(directory=_STUDIO, html=True), name="studio")
    return app


async def _sweep(results: Results) -> None:
    """Remove films whose time is over, until cancelled."""
    while True:
        try:
            await to_thread.run_sync(results.remove_old)
        except OSError as error:
            _log.warning("old films cannot be looked for: %s", error)
        await asyncio.sleep(_SWEEP_EVERY_S)
