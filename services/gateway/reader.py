"""Has the lines of one text spoken, however many of them side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread

from services.contract.speech import Manner
from services.gateway.clients import SpeechAnswer, TtsClient
from services.gateway.languages import Languages
from services.gateway.lines import Line


class Reader:
    """Reads one text: each line in its language, which those before it may have told."""

    def __init__(self, tts: TtsClient, manner: Manner, languages: Languages) -> None:
        self._tts = tts
        self._manner = manner
        self._languages = languages

    @asynccontextmanager
    async def speak(self, number: int, line: Line, patience_s: float) -> AsyncIterator[SpeechAnswer]:
        """Give the speech of line `number` as it is made; where all lanes are busy, wait so long for one.

        Raises `InvalidRequest` for a line that is too long, and whatever the tts service refuses.
        """
        languages = self._languages
        try:
            await languages.in_turn(number, line.text)
            reading = await to_thread.run_sync(languages.reading, line.text, number)
            request = line.request(self._manner, languages.of(line.text, number), reading)
            async with self._tts.speak(request, patience_s) as answer:
                languages.settle(line.text, answer.language, number)
                yield answer
        finally:
            languages.leave(number)  # one that failed keeps nobody waiting
