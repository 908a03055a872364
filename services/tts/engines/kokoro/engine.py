"""The Kokoro speech engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from kokoro_onnx import Kokoro

from services.contract.errors import InvalidRequest, Unavailable
from services.contract.speech import AudioChunk, SpeechRequest, Voice
from services.tts.engine import Utterance
from services.tts.engines.assembly import Assembler
from services.tts.engines.catalogue import Catalogue
from services.tts.engines.failures import loading, speaking
from services.tts.engines.files import require_files, state_of
from services.tts.engines.kokoro.languages import LANGUAGE_NAMES, in_order, language_of, voice_of
from services.tts.engines.kokoro.phonemes import Phonemes, sentences_of
from services.tts.engines.marks import TimedLetter, has_letters, written_words
from services.tts.engines.waiting import waited_for
from services.tts.sound import Sound

_REVISION = 1
"""Goes up whenever the same request sounds different."""

_CURE = "run `scripts/fetch-models kokoro`"
_SPEEDS = (0.5, 2.0)
"""What the model can do by itself."""

_SENTENCE_PAUSE_S, _CLAUSE_PAUSE_S = 0.25, 0.1
_MOST_AT_ONCE = 256


class KokoroEngine:
    """Speaks with one model, which several utterances use at once."""

    name = "kokoro"
    cloning = False
    ipa = True
    sample_rate_hz = 24_000

    def __init__(self, model_path: Path, voices_path: Path, *, default_voice: str = "") -> None:
        """Load both files; `default_voice` speaks where nothing is asked for. Raises `Unavailable`."""
        require_files(model_path, voices_path, cure=_CURE)
        with loading(f"{model_path} and {voices_path}", _CURE):
            self._kokoro = Kokoro(str(model_path), str(voices_path))
            with np.load(voices_path) as styles:
                self._styles: dict[str, Sound] = dict(styles)
        names = in_order(self._styles)
        if not names:
            raise Unavailable(f"{voices_path} holds no voice of a known language; {_CURE}.")
        self._catalogue = Catalogue([voice_of(name) for name in names], LANGUAGE_NAMES, default=default_voice)
        self._phonemes = Phonemes(self._kokoro.tokenizer.vocab)
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="kokoro")
        self.revision = f"{version('kokoro-onnx')}-{_REVISION}-{state_of(model_path, voices_path)}"
        self.phoneme_marks = self._kokoro.has_timings
        self.default_voice = self._catalogue.default.name

    def voices(self) -> Sequence[Voice]:
        """Return the voices of the voices file."""
        return self._catalogue.voices

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the voices' languages."""
        return self._catalogue.languages

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle voice and language without speaking."""
        return self._catalogue.resolve(request)

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech sentence by sentence; closed early, it leaves the sentence it is at unfinished."""
        with speaking("Kokoro"):
            phonemes = self._phonemes.known(utterance.phonemes) or self._phonemes.of(
                utterance.text, language_of(utterance.voice).espeak
            )
        if not has_letters(phonemes):
            raise InvalidRequest(f"text: nothing in it can be spoken in {utterance.language}.", param="text")
        speed = min(max(utterance.speed, _SPEEDS[0]), _SPEEDS[1])
        words = written_words(utterance.text, phonemes)
        speech = Assembler(self.sample_rate_hz, words, shift=utterance.pitch, tempo=utterance.speed / speed)
        *sentences, last = sentences_of(phonemes)
        for sentence in (*sentences, last):
            work = partial(self._spoken, sentence, self._styles[utterance.voice], speed)
            sound, letters = yield from waited_for(self._threads, work, self.sample_rate_hz)
            yield speech.chunk(sound, letters, 0.0 if sentence is last else _SENTENCE_PAUSE_S / utterance.speed)

    def warm_up(self) -> None:
        """Say a word, because the first one takes longest."""
        for _ in self.synthesize(Utterance("1", self.default_voice, self._catalogue.default.language)):
            pass

    def check(self) -> None:
        """Return: what has been loaded stays."""

    def forget(self, digest: str) -> None:
        """Nothing is ever computed from references."""

    def close(self) -> None:
        """Let the sentences at work be the last."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _spoken(self, phonemes: str, style: Sound, speed: float) -> tuple[Sound, list[TimedLetter]]:
        with speaking("Kokoro"):
            sound, _, timings = self._kokoro.create_timed(
                phonemes,
                style,
                speed,
                is_phonemes=True,
                sentence_pause=_SENTENCE_PAUSE_S / speed,
                clause_pause=_CLAUSE_PAUSE_S / speed,
            )
        return sound, [(timing.phoneme, timing.start, timing.end) for timing in timings]
