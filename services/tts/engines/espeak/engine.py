"""The espeak-ng speech engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property

from services.chassis.detect import LanguageDetector
from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO, AudioChunk, SpeechRequest, Voice
from services.tts.engine import Utterance
from services.tts.engines.espeak.assemble import SpeechAssembler
from services.tts.engines.espeak.languages import Languages
from services.tts.engines.espeak.process import Worker
from services.tts.engines.espeak.voices import DEFAULT_VOICE, VoiceBook, delivery_of
from services.tts.engines.espeak.wire import Order
from services.tts.japanese import JapaneseReader
from services.tts.text import check_script, speakable

_FINISH_REVISION = 1
"""Goes up whenever the same request sounds different."""


class EspeakEngine:
    """Speaks with as many worker processes as there are utterances at once; `max_idle` of them are kept for later."""

    name = "espeak"
    cloning = False
    ipa = False
    phoneme_marks = True
    default_voice = DEFAULT_VOICE

    def __init__(self, max_idle: int = 1) -> None:
        """Start the first worker and load the language detector."""
        self._max_idle = max_idle
        self._idle: deque[Worker] = deque()
        worker = Worker()
        self._idle.append(worker)
        version, self.sample_rate_hz, languages, variants = worker.introduction
        self.revision = f"{version}-{_FINISH_REVISION}"
        self._languages = Languages(languages)
        self._voices = VoiceBook(self._languages, variants)
        self._detector = LanguageDetector({tag.split("-")[0] for tag in self._languages.tags} | {"no"})

    def voices(self) -> Sequence[Voice]:
        """Return the voices that go by a name of ours; they speak every language."""
        return self._voices.listed()

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the languages."""
        return self._languages.tags

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle language and voice; Auto is the voice's own language if it has one, else the text's."""
        text = speakable(request.text)
        voice, spoken = self._voices.find(request.voice)
        if request.language.lower() != AUTO.lower():
            language = self._languages.find(request.language)
        else:
            language = spoken or self._languages.find(self._detector.detect(text))
        if spoken is not None and spoken.split("-")[0] != language.split("-")[0]:
            raise InvalidRequest(f"voice: {voice} speaks {spoken}, not {language}.", param="voice")
        language = spoken or language
        check_script(text, language)
        return Utterance(text, voice, language, request.speed, request.pitch)

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech as it is made; closing the generator stops the worker within a moment."""
        style = self._voices.style(utterance.voice)
        delivery = delivery_of(utterance, style)
        voice = "+".join(part for part in (self._languages.voice_file(utterance.language), style.variant) if part)
        order = Order(self._spoken_text(utterance), voice, delivery.rate_wpm, delivery.pitch, delivery.pitch_range)
        speech = SpeechAssembler(order.text, self.sample_rate_hz, delivery, style.filters)
        with self._worker() as worker, closing(worker.speak(order)) as pieces:
            for events, pcm in pieces:
                chunk = speech.push(events, pcm)
                if chunk is not None:
                    yield chunk
        rest = speech.finish()
        if rest is None:
            raise InvalidRequest(f"text: nothing in it can be spoken in {utterance.language}.", param="text")
        yield rest

    def warm_up(self) -> None:
        """Say a word, because the first one takes longest."""
        for _ in self.synthesize(self.resolve(SpeechRequest(text="Hello", language="English"))):
            pass

    def forget(self, digest: str) -> None:
        """Nothing is ever computed from references."""

    def check(self) -> None:
        """Return when a worker lives; start one if none does."""
        with self._worker():
            pass

    def close(self) -> None:
        """End the idle workers; those at work end with their generators."""
        self._max_idle = 0
        while self._idle:
            self._idle.pop().close()

    @cached_property
    def _japanese(self) -> JapaneseReader:
        return JapaneseReader()

    def _spoken_text(self, utterance: Utterance) -> str:
        return self._japanese.pronounced(utterance.text) if utterance.language == "ja" else utterance.text

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        worker = self._idle_worker() or Worker()
        try:
            yield worker
        finally:
            if worker.alive and len(self._idle) < self._max_idle:
                self._idle.append(worker)
            else:
                worker.close()

    def _idle_worker(self) -> Worker | None:
        with suppress(IndexError):  # another thread may take the last one in the same moment
            while True:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.close()
        return None
