"""From a request to an engine that speaks it: routing, references, the cache, and falling back."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cached_property

from anyio import to_thread

from services.chassis.detect import LanguageDetector
from services.contract.errors import EngineFailed, InvalidRequest, ServiceError
from services.contract.languages import LANGUAGE_NAMES, primary_tag
from services.contract.speech import AUTO, SAMPLE_BYTES, AudioChunk, SpeechRequest, join_chunks
from services.tts.alignment import approximate_words
from services.tts.engine import Reference, SpeechEngine, Utterance
from services.tts.keeping import Keeping
from services.tts.metrics import TtsMetrics
from services.tts.references import RATE_HZ, unknown_reference, usable_transcript
from services.tts.resample import at_rate
from services.tts.settings import EngineName, TtsSettings
from services.tts.sound import sound_of
from services.tts.speaker import Speaker
from services.tts.voices import Voices

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
class _Wish:
    """A request whose voice is looked up."""

    request: SpeechRequest
    reference: Reference | None
    voice: str
    notices: tuple[str, ...]


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
        self._voices = voices
        self._keeping = keeping
        self._metrics = metrics
        self._speakers = {name: Speaker(name, settings) for name in _named(settings)}
        if engine is not None:
            self._speakers[settings.engine] = Speaker(settings.engine, settings, engine)

    @property
    def speakers(self) -> Mapping[EngineName, Speaker]:
        """The speakers by engine, the default one first."""
        return self._speakers

    @property
    def default(self) -> Speaker:
        """The speaker of the default engine."""
        return self._speakers[self._settings.engine]

    async def speak(self, request: SpeechRequest) -> Speech:
        """Return the speech, begun; raises what the last engine tried refuses or fails with."""
        self._check_length(request.text)
        wish = await self._looked_up(request)
        names = await self._candidates(wish)
        notices = wish.notices
        for name in names[:-1]:
            try:
                return await self._spoken_by(name, wish, notices)
            except ServiceError as error:
                # Each engine has its own languages, voices and reasons to fail; the next may do.
                _log.warning("%s does not speak this, going on to the next engine: %s", name, error.detail)
                self._metrics.fell_back(name)
                notices += (f"{name} did not speak: {error.detail}",)
        return await self._spoken_by(names[-1], wish, notices)

    async def close(self) -> None:
        """Let go of all engines."""
        for speaker in self._speakers.values():
            await speaker.close()

    def _check_length(self, text: str) -> None:
        if len(text) > self._settings.max_text_chars:
            raise InvalidRequest(
                f"text: longer than {self._settings.max_text_chars} characters; send it in pieces.", param="text"
            )

    async def _looked_up(self, request: SpeechRequest) -> _Wish:
        """Find the sound behind a stored voice's name or a reference's digest."""
        if request.reference:
            self._voices.check_unnamed_copy()
            pcm = await self._keeping.reference(request.reference)
            if pcm is None:
                raise unknown_reference(request.reference)
            transcript, notices = _transcript(request, request.transcript, pcm)
            return _Wish(request, Reference(request.reference, pcm, transcript), "reference", notices)
        return await self._named(request) if request.voice else _Wish(request, None, "", ())

    async def _named(self, request: SpeechRequest) -> _Wish:
        """Find the sound behind the request's voice, if it is a stored one."""
        stored = await self._voices.find(request.voice)
        if stored is None:
            return _Wish(request, None, "", ())
        voice, pcm = stored
        transcript, notices = _transcript(request, request.transcript or voice.transcript, pcm)
        copied = request.model_copy(update={"voice": "", "reference": voice.reference})
        return _Wish(copied, Reference(voice.reference, pcm, transcript), voice.name, notices)

    async def _with_default_voice(self, name: EngineName, wish: _Wish) -> _Wish:
        """Name the configured voice where the request names none: checkpoints that copy have none of their own."""
        voice = self._settings.qwen3_voice
        if name != "qwen3" or not voice or wish.request.voice or wish.reference is not None:
            return wish
        return await self._named(wish.request.model_copy(update={"voice": voice}))

    async def _candidates(self, wish: _Wish) -> list[EngineName]:
        request, settings = wish.request, self._settings
        if request.engine not in ("", "auto"):
            for name in self._speakers:
                if name == request.engine:
                    return [name]
            raise InvalidRequest(
                f"engine: {request.engine!r} does not run here; {', '.join(self._speakers)} may be asked for.",
                param="engine",
            )
        routed = settings.routes.get(await self._language(request), [])
        names = list(dict.fromkeys([*routed, *([] if routed else [settings.engine]), *settings.fallback]))
        if request.voice:
            owners = [name for name in names if await self._has_voice(name, request.voice)]
            return owners or names
        if wish.reference is not None:
            return await self._cloning(names)
        return names

    async def _cloning(self, names: list[EngineName]) -> list[EngineName]:
        """Return those that copy voices: another voice than the one asked for is no way out."""
        able: list[EngineName] = []
        failure: ServiceError | None = None
        for name in names:
            try:
                able += [name] if (await self._speakers[name].engine()).cloning else []
            except ServiceError as error:
                failure = error
        if not able:
            raise failure or InvalidRequest(
                f"ref_audio: the {names[0]} engine cannot clone a voice; leave ref_audio and ref_text out, "
                "or run an engine that clones (TTS_ENGINE=qwen3).",
                param="ref_audio",
            )
        return able

    async def _has_voice(self, name: EngineName, voice: str) -> bool:
        return any(known.name.lower() == voice.lower() for known in await self._speakers[name].voices())

    async def _language(self, request: SpeechRequest) -> str:
        if not self._settings.routes:
            return ""
        if request.language.lower() != AUTO.lower():
            return primary_tag(request.language)
        return await to_thread.run_sync(self._detector.detect, request.text)

    async def _told_language(self, utterance: Utterance) -> str:
        """Return the language of an utterance; detected where the engine leaves it to the model."""
        if utterance.language != AUTO:
            return utterance.language
        return await to_thread.run_sync(self._detector.detect, utterance.text)

    @cached_property
    def _detector(self) -> LanguageDetector:
        return LanguageDetector(LANGUAGE_NAMES)

    async def _spoken_by(self, name: EngineName, wish: _Wish, notices: tuple[str, ...]) -> Speech:
        speaker = self._speakers[name]
        engine = await speaker.engine()
        if (in_default_voice := await self._with_default_voice(name, wish)) is not wish:
            wish, notices = in_default_voice, notices + in_default_voice.notices
        utterance = await speaker.resolve(wish.request)
        phonemes = wish.request.phonemes if engine.ipa else ""
        utterance = replace(utterance, reference=wish.reference, phonemes=phonemes)
        notices += _without_effect(wish.request, utterance, name)
        language = await self._told_language(utterance)
        made, cached = await self._made(speaker, engine, utterance, use_cache=wish.request.use_cache)
        first = await _first(made, name)
        chunks = _rejoined(first, made)
        return Speech(
            engine=name,
            language=language,
            voice=wish.voice or utterance.voice,
            notices=(*notices, *first.notices),
            takes=first.takes,
            cached=cached,
            copied=utterance.reference is not None,
            sample_rate_hz=wish.request.sample_rate_hz or first.sample_rate_hz,
            chunks=at_rate(chunks, wish.request.sample_rate_hz),
        )

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


def _transcript(request: SpeechRequest, transcript: str, pcm: bytes) -> tuple[str, tuple[str, ...]]:
    if request.x_vector_only:
        return "", ()
    usable, notices = usable_transcript(transcript, len(pcm) / SAMPLE_BYTES / RATE_HZ)
    return usable, tuple(notices)


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
