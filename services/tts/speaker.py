"""The engine and its lane: what the requests of one app share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing

from anyio import to_thread

from services.chassis.lane import EngineLane
from services.contract.errors import InvalidRequest, Unavailable
from services.contract.speech import AudioChunk, SpeechRequest
from services.tts.engine import SpeechEngine, Utterance
from services.tts.registry import ENGINES
from services.tts.resample import resampled
from services.tts.settings import TtsSettings


class Speaker:
    """Speaks with the engine the settings name, or with one that is given; closes it in the end."""

    def __init__(self, settings: TtsSettings, engine: SpeechEngine | None = None) -> None:
        self._settings = settings
        self._engine = engine
        self.lane = EngineLane("tts", slots=settings.lanes, max_waiting=settings.max_waiting)

    @property
    def engine(self) -> SpeechEngine:
        """The engine; raises `Unavailable` while there is none."""
        if self._engine is None:
            raise Unavailable("The speech engine is not loaded yet; try again shortly.", retry_after_s=1)
        return self._engine

    async def start(self) -> None:
        """Load the engine and let it say a word, because its first one takes longest."""
        if self._engine is None:
            self._engine = await to_thread.run_sync(ENGINES[self._settings.engine], self._settings)
        hello = SpeechRequest(text="Hello", language="English")
        async with aclosing(self.speak(await self.resolve(hello), hello.sample_rate_hz)) as chunks:
            async for _ in chunks:
                pass

    async def check(self) -> None:
        """Return when the engine would serve a request; raise the `ServiceError` that says why not."""
        await to_thread.run_sync(self.engine.check)

    async def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle voice and language of `request`, or raise `InvalidRequest`."""
        if len(request.text) > self._settings.max_text_chars:
            raise InvalidRequest(
                f"text: longer than {self._settings.max_text_chars} characters; send it in pieces.", param="text"
            )
        return await to_thread.run_sync(self.engine.resolve, request)

    def speak(self, utterance: Utterance, sample_rate_hz: int | None) -> AsyncGenerator[AudioChunk, None]:
        """Yield the speech at `sample_rate_hz`, or at the engine's own rate; raises what the lane raises."""

        def synthesize() -> Generator[AudioChunk, None, None]:
            return resampled(self.engine.synthesize(utterance), sample_rate_hz)

        return self.lane.stream(synthesize)

    async def close(self) -> None:
        """Wait for generators that are being closed, and let go of the engine."""
        await self.lane.aclose()
        if self._engine is not None:
            await to_thread.run_sync(self._engine.close)
