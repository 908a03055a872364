"""One engine and its lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator

from anyio import to_thread

from services.chassis.lane import EngineLane
from services.contract.errors import ServiceError, Unavailable
from services.contract.speech import AudioChunk, SpeechRequest
from services.tts.engine import SpeechEngine, Utterance
from services.tts.registry import make_engine
from services.tts.resample import resampled
from services.tts.settings import EngineName, TtsSettings


class Speaker:
    """Makes its engine when it is first needed, and keeps it until it is closed."""

    def __init__(self, name: EngineName, settings: TtsSettings, engine: SpeechEngine | None = None) -> None:
        self.name = name
        self._settings = settings
        self._engine = engine
        self._making = asyncio.Lock()
        self._failure: ServiceError = Unavailable("The speech engine is still loading.", retry_after_s=2)
        self._loading = engine is None
        self.lane = EngineLane(f"{name} speech", slots=settings.lanes, max_waiting=settings.max_waiting)

    @property
    def made(self) -> SpeechEngine | None:
        """The engine, if it has been made."""
        return self._engine

    async def engine(self) -> SpeechEngine:
        """Return the engine; raises what making it raises."""
        async with self._making:
            if self._engine is None:
                self._engine = await to_thread.run_sync(make_engine, self.name, self._settings)
            return self._engine

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

    def speak(self, utterance: Utterance, sample_rate_hz: int | None) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech at `sample_rate_hz`, or at the engine's own rate; raises what the lane raises."""

        def synthesize() -> Generator[AudioChunk, None, None]:
            assert self._engine is not None
            return resampled(self._engine.synthesize(utterance), sample_rate_hz)

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
