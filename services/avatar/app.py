"""The avatar service over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cv2
from anyio import to_thread
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.avatar.engine import LipSyncEngine
from services.avatar.face.finder import MeshFaceFinder
from services.avatar.keeping import Keeping
from services.avatar.library import AvatarLibrary
from services.avatar.lipsync import LipSync
from services.avatar.preparing import Preparing
from services.avatar.routes import avatar_router, lipsync_router
from services.avatar.settings import AvatarSettings
from services.avatar.warming import warm_up
from services.chassis.app import create_service_app
from services.chassis.metrics import metrics_router

_SWITCH_INTERVAL_S = 0.0005

_START_PATIENCE_S = 2.0
"""Light engines are ready when the service listens; weights go on loading, and readiness tells."""


def create_app(settings: AvatarSettings, engine: LipSyncEngine | None = None) -> FastAPI:
    """Return the avatar service. `engine` is the one `settings` name unless it is given."""
    registry = CollectorRegistry()
    keeping = Keeping(settings, registry)
    lip_sync = LipSync(settings, engine, keeping)
    library = AvatarLibrary(settings, MeshFaceFinder(settings.models_dir))

    async def warm_up_when_loaded(loading: asyncio.Task[None]) -> None:
        await loading
        await to_thread.run_sync(warm_up, settings, library, lip_sync)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # A lane is one thread for the engine and one for the encoder. OpenCV's own threads would
        # fight them for the same cores: frames are too small to be worth splitting.
        cv2.setNumThreads(1)
        # The encoder asks for the interpreter for every frame, and beside a thread that is busy in Python
        # it would wait 5 ms for it each time.
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        loading = asyncio.create_task(lip_sync.load())
        warming = asyncio.create_task(warm_up_when_loaded(loading))
        await asyncio.wait([loading], timeout=_START_PATIENCE_S)
        if loading.done():
            loading.result()  # a bug ends the start; what hinders an engine does not
        yield
        await warming
        await lip_sync.close()
        await keeping.close()

    app = create_service_app(
        "Talkie avatar",
        settings,
        lifespan=lifespan,
        ready=lip_sync.check,
        alive=lip_sync.check_alive,
        routers=[
            lipsync_router(settings, lip_sync, library, keeping),
            avatar_router(settings, library, Preparing(library, lip_sync), keeping),
            metrics_router(registry),
        ],
    )
    app.state.lip_sync = lip_sync
    return app
