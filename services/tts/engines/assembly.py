"""Turns what a model makes, a sentence at a time, into chunks of finished speech with marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from services.contract.errors import EngineFailed
from services.contract.speech import AudioChunk
from services.tts.bending import bent
from services.tts.engines.marks import LetterMarks, TimedLetter
from services.tts.sound import Sound, pcm_of

_FADE_S = 0.005


class Assembler:
    """Assembles one utterance; `shift` and `tempo` change the pitch and pace that the model left as they were."""

    def __init__(
        self, sample_rate_hz: int, words: Sequence[str] = (), *, shift: float = 1.0, tempo: float = 1.0
    ) -> None:
        self._rate = sample_rate_hz
        self._marker = LetterMarks(words)
        self._shift = shift
        self._tempo = tempo
        self._sent_s = 0.0

    def chunk(self, raw: Sound, letters: Iterable[TimedLetter], pause_s: float = 0.0) -> AudioChunk:
        """Return the next sentence with a pause after it; the letters' times count from its own start."""
        if not np.isfinite(raw).all():
            raise EngineFailed("The model made something that is no sound; try another voice or another text.")
        sound = _faded(bent(raw, self._rate, shift=self._shift, tempo=self._tempo), round(_FADE_S * self._rate))
        heard_s = len(sound) / self._rate
        fitted = [(what, min(a / self._tempo, heard_s), min(b / self._tempo, heard_s)) for what, a, b in letters]
        sound = np.concatenate([sound, np.zeros(round(pause_s * self._rate), np.float32)])
        if fitted:
            fitted = [(".", 0.0, fitted[0][1]), *fitted, (".", fitted[-1][2], len(sound) / self._rate)]
        marks = tuple(mark.shifted(self._sent_s) for mark in self._marker.marks(fitted))
        self._sent_s += len(sound) / self._rate
        return AudioChunk(pcm_of(sound), self._rate, marks)


def _faded(sound: Sound, samples: int) -> Sound:
    """Return `sound` rising from silence and falling back to it, so that nothing clicks where pieces meet."""
    samples = min(samples, len(sound) // 2)
    ramp = np.linspace(0, 1, samples, dtype=np.float32)
    faded = np.array(sound, np.float32)
    faded[:samples] *= ramp
    faded[len(faded) - samples :] *= ramp[::-1]
    return faded
