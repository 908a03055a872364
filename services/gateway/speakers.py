"""The speech engines and their voices, as clients choose from."""

from __future__ import annotations

from services.contract.newavata import ListedEngine
from services.gateway.clients import TtsClient


class Speakers:
    """Lists who can speak."""

    def __init__(self, tts: TtsClient) -> None:
        self._tts = tts

    async def listed(self) -> list[ListedEngine]:
        """Return the engines, the default one first; those that copy voices with the stored ones."""
        stored = [voice.name for voice in await self._tts.stored_voices()]
        return [
            ListedEngine(
                id=engine.engine,
                name=engine.engine,
                voices=[*(voice.name for voice in engine.voices), *(stored if engine.cloning else [])],
                default=number == 0,
            )
            for number, engine in enumerate(await self._tts.engines())
        ]
