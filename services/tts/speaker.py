"""One engine and its lane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Sequence

from anyio import to_thread

from services.chassis.lane import EngineLane
from services.contract.errors import ServiceError, Unavailable
from services.contract.speech import AudioChunk, SpeechRequest, Voice
from services.tts.engine import SpeechEngine, Utterance
from services.tts.registry import make_engine
from services.tts.settings import EngineName, TtsSettings

_TRY_AGAIN_S = 10.0
"""An engine that could not be made is not tried with every request."""


class Speaker:
    """Makes its engine when it is first needed, and keeps it until it is closed."""

    def __init__(self, name: EngineName, settings: TtsSettings, engine: SpeechEngine | None = None) -> None:
        self.name = name
        self._settings = settings
        self._engine = engine
        self._making = asyncio.Lock()
        self._failure: ServiceError = Unavailable("The speech engine is still loading.", retry_after_s=2)
        self._loading = engine is None
        self._again_at = 0.0
        self.lane = EngineLane(f"{name} speech", slots=settings.lanes, max_waiting=settings.max_waiting)

    async def engine(self) -> SpeechEngine:
        """Return the engine; raises what making it raises, for a while without trying again."""
        async with self._making:
            if self._engine is None:
                if time.monotonic() < self._again_at:
                    raise self._failure
                try:
                    self._engine = await to_thread.run_sync(make_engine, self.name, self._settings)
                except ServiceError as error:
                    self._failure, self._again_at = error, time.monotonic() + _TRY_AGAIN_S
                    raise
            return self._engine

    async def voices(self) -> Sequence[Voice]:
        """Return the voices of the engine; none while it cannot be made."""
        try:
            return await to_thread.run_sync((await self.engine()).voices)
        except ServiceError:
            return ()

    async def warm_up(self) -> None:
        """Make the engine and let it do what makes its first request slow."""
        try:
            await to_thread.run_sync((await self.engine()).warm_up)
        except ServiceError as error:
            self._failure = error
            raise
        finally:
            self._loading = False

    async def check(self) -> None:
        """Return when the engine would serve a request; raise the `ServiceError` that says why not."""
        if self._engine is None or self._loading:
            raise self._failure
        await to_thread.run_sync(self._engine.check)

    async def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle voice and language of `request`, or raise `InvalidRequest`."""
        return await to_thread.run_sync((await self.engine()).resolve, request)

    def speak(self, utterance: Utterance) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech; raises what the lane raises."""

        def synthesize() -> Generator[AudioChunk, None, None]:
            assert self._engine is not None
            return self._engine.synthesize(utterance)

        return self.lane.stream(synthesize)

    async def forget(self, digest: str) -> None:
        """Drop what the engine computed from a reference."""
        if self._engine is not None:
            await to_thread.run_sync(self._engine.forget, digest)

    async def close(self) -> None:
        """Wait for generators that are being closed, and let go of the engine."""
        await self.lane.aclose()
        if self._engine is not None:
            await to_thread.run_sync(self._engine.close)
