"""From a request to an engine that speaks it: wishes, routing, the cache, and falling back."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest, ServiceError
from services.contract.speech import AUTO, AudioChunk, SpeechRequest, join_chunks
from services.tts.alignment import approximate_words
from services.tts.engine import SpeechEngine, Utterance
from services.tts.keeping import Keeping
from services.tts.metrics import TtsMetrics
from services.tts.resample import at_rate
from services.tts.routing import Routing
from services.tts.settings import EngineName, TtsSettings
from services.tts.sound import sound_of
from services.tts.speaker import Speaker
from services.tts.voices import Voices
from services.tts.wishes import Wish, Wishes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speech:
    """A request that is being spoken: its first sound is there."""

    engine: EngineName
    language: str
    voice: str
    notices: tuple[str, ...]
    takes: int
    cached: bool
    sample_rate_hz: int
    copied: bool
    """Whether the voice is one that was copied."""
    chunks: AsyncGenerator[AudioChunk, None]
    """All of the sound; to be closed by whoever takes it."""


@dataclass(frozen=True)
class _Failure:
    """An engine that was tried in vain."""

    engine: EngineName
    error: ServiceError
    unknown_voice: bool
    """Whether it has no voice of the name asked for, which says nothing about why the one that has it fails."""

    @property
    def broke(self) -> bool:
        """Whether the engine cannot speak, now; one that is busy can."""
        return self.error.status >= EngineFailed.status and self.error.code != AtCapacity.code


class Dispatcher:
    """Holds a speaker for every engine that is asked for."""

    def __init__(
        self,
        settings: TtsSettings,
        voices: Voices,
        keeping: Keeping,
        metrics: TtsMetrics,
        engine: SpeechEngine | None = None,
    ) -> None:
        """`engine` stands in for the one that `settings` name."""
        self._settings = settings
        self._keeping = keeping
        self._metrics = metrics
        self._speakers = {name: Speaker(name, settings) for name in _named(settings)}
        if engine is not None:
            self._speakers[settings.engine] = Speaker(settings.engine, settings, engine)
        self._wishes = Wishes(voices, keeping, settings.qwen3_voice)
        self._routing = Routing(settings, self._speakers)

    @property
    def speakers(self) -> Mapping[EngineName, Speaker]:
        """The speakers by engine, the default one first."""
        return self._speakers

    @property
    def default(self) -> Speaker:
        """The speaker of the default engine."""
        return self._speakers[self._settings.engine]

    async def speak(self, request: SpeechRequest) -> Speech:
        """Return the speech, begun.

        Raises what the last engine tried refuses or fails with, of those that have the voice.
        """
        self._check_length(request.text)
        wish = await self._wishes.of(request)
        failures: list[_Failure] = []
        for name, asked in await self._routing.tries(wish):
            if asked.instead and not any(failure.broke for failure in failures):
                break
            if failures:
                self._tell(failures[-1], name)
            try:
                return await self._spoken_by(name, asked, failures)
            except ServiceError as error:
                # Each engine has its own languages, voices and reasons to fail; the next may do.
                failures.append(_Failure(name, error, asked.names_voice and error.param == "voice"))
        raise next((failure for failure in reversed(failures) if not failure.unknown_voice), failures[-1]).error

    async def close(self) -> None:
        """Let go of all engines."""
        for speaker in self._speakers.values():
            await speaker.close()

    def _check_length(self, text: str) -> None:
        if len(text) > self._settings.max_text_chars:
            raise InvalidRequest(
                f"text: longer than {self._settings.max_text_chars} characters; send it in pieces.", param="text"
            )

    def _tell(self, failure: _Failure, following: EngineName) -> None:
        """Tell the log and the metrics that the turn has passed to the next engine."""
        _log.warning("%s does not speak this, going on to %s: %s", failure.engine, following, failure.error.detail)
        self._metrics.fell_back(failure.engine)

    async def _spoken_by(self, name: EngineName, wish: Wish, failures: Sequence[_Failure]) -> Speech:
        speaker = self._speakers[name]
        engine = await speaker.engine()
        if name == "qwen3":
            wish = await self._wishes.in_usual_voice(wish)
        utterance = await speaker.resolve(wish.request)
        phonemes = wish.request.phonemes if engine.ipa else ""
        utterance = replace(utterance, reference=wish.reference, phonemes=phonemes)
        language = await self._told_language(utterance)
        made, cached = await self._made(speaker, engine, utterance, use_cache=wish.request.use_cache)
        first = await _first(made, name)
        chunks = _rejoined(first, made)
        without_effect = (*utterance.notices, *_without_effect(wish.request, utterance, name))
        return Speech(
            engine=name,
            language=language,
            voice=wish.voice or utterance.voice,
            notices=(*wish.notices, *_told(failures), *without_effect, *first.notices),
            takes=first.takes,
            cached=cached,
            copied=utterance.reference is not None,
            sample_rate_hz=wish.request.sample_rate_hz or first.sample_rate_hz,
            chunks=at_rate(chunks, wish.request.sample_rate_hz),
        )

    async def _told_language(self, utterance: Utterance) -> str:
        """Return the language of an utterance; detected where the engine leaves it to the model."""
        if utterance.language != AUTO:
            return utterance.language
        return await self._routing.language_of(utterance.text)

    async def _heard(self, chunks: AsyncGenerator[AudioChunk, None], name: str) -> AsyncGenerator[AudioChunk, None]:
        """Yield the chunks that have sound, and count them."""
        with self._metrics.speaking(name) as told:
            async with aclosing(chunks):
                async for chunk in chunks:
                    if chunk.pcm:
                        told(chunk)
                        yield chunk

    async def _made(
        self, speaker: Speaker, engine: SpeechEngine, utterance: Utterance, *, use_cache: bool
    ) -> tuple[AsyncGenerator[AudioChunk, None], bool]:
        """Return the sound of an utterance, and whether it was, or is being, made for somebody else."""
        made = _with_words(self._heard(speaker.speak(utterance), speaker.name), utterance.text)
        if not (use_cache and self._keeping.enabled):
            return made, False
        key = self._keeping.key(engine, utterance)
        if (whole := await self._keeping.speech(key)) is not None:
            return _once(whole), True
        if (joined := self._keeping.join(key)) is not None:
            return joined, True
        return self._keeping.speak_once(key, made, lasting=utterance.reference is None), False


def _named(settings: TtsSettings) -> list[EngineName]:
    routed = [name for names in settings.routes.values() for name in names]
    return list(dict.fromkeys([settings.engine, *routed, *settings.fallback]))


def _told(failures: Sequence[_Failure]) -> list[str]:
    """Return what a listener should know of the engines that were tried before."""
    return [f"{one.engine} did not speak: {one.error.detail}" for one in failures if not one.unknown_voice]


def _without_effect(request: SpeechRequest, utterance: Utterance, engine: str) -> tuple[str, ...]:
    """Return what of the request this kind of engine has no use for."""
    told = []
    if request.model_size and not utterance.model:
        told.append(f"model_size has no effect: the {engine} engine has one size.")
    if request.instruct and not utterance.model:
        told.append(f"instruct has no effect: the {engine} engine takes none.")
    if request.phonemes and not utterance.phonemes:
        told.append(f"phoneme has no effect: the {engine} engine reads the text.")
    return tuple(told)


async def _first(chunks: AsyncGenerator[AudioChunk, None], engine: str) -> AudioChunk:
    """Return the first chunk; closes `chunks` where there is none."""
    try:
        async for chunk in chunks:
            return chunk
        raise EngineFailed(f"The {engine} engine made no sound of it; reword it.")
    except BaseException:
        await chunks.aclose()
        raise


async def _once(chunk: AudioChunk) -> AsyncGenerator[AudioChunk, None]:
    yield chunk


async def _with_words(chunks: AsyncGenerator[AudioChunk, None], text: str) -> AsyncGenerator[AudioChunk, None]:
    """Yield `chunks`, and after them, where the engine knows no words' times, guesses without sound."""
    heard: list[AudioChunk] = []
    async with aclosing(chunks):
        async for chunk in chunks:
            heard.append(chunk)
            yield chunk
    if heard and not any(mark.kind == "word" for chunk in heard for mark in chunk.marks):
        whole = join_chunks(heard)
        marks = approximate_words(text, sound_of(whole.pcm), whole.sample_rate_hz)
        yield AudioChunk(b"", whole.sample_rate_hz, marks)


async def _rejoined(first: AudioChunk, rest: AsyncGenerator[AudioChunk, None]) -> AsyncGenerator[AudioChunk, None]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
