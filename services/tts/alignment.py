"""Guesses when each word is heard, for engines that do not know.

The loudness of speech says where it is heard at all; within that time each word gets a share by how
much there is of it to say. Good to about a fifth of a second in an ordinary sentence: such marks are
marked as approximate.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from services.contract.speech import Mark
from services.tts.sound import Sound

_FRAME_S = 0.01
_HEARD_BELOW_PEAK = 0.03
"""What is quieter than this part of the loudest frame is not speech."""

_WORD = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W_]+(?:['’-][^\W_]+)*")
_LONG_SYLLABLE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_LETTERS_OF_A_LONG_SYLLABLE = 3
_LETTERS_BETWEEN_WORDS = 1


def approximate_words(text: str, sound: Sound, sample_rate_hz: int) -> tuple[Mark, ...]:
    """Return a mark for each word of `text`; Chinese and Japanese characters are words of their own."""
    words = _WORD.findall(text)
    heard_s = _heard_instants(sound, sample_rate_hz)
    if not words or not len(heard_s):
        return ()
    weights = np.cumsum([0, *(_weight(word) for word in words)])
    edges = heard_s[np.round(weights / weights[-1] * (len(heard_s) - 1)).astype(int)]
    return tuple(
        Mark(kind="word", text=word, start_s=float(start), end_s=float(end), approximate=True)
        for word, start, end in zip(words, edges[:-1], edges[1:], strict=True)
        if end > start
    )


def _heard_instants(sound: Sound, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the instants, 10 ms apart, at which something is heard, in seconds."""
    frame = round(_FRAME_S * sample_rate_hz)
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    if not len(frames):
        return np.empty(0)
    loudness = np.sqrt(np.mean(frames**2, axis=1))
    heard = np.flatnonzero(loudness > _HEARD_BELOW_PEAK * max(float(loudness.max()), 1e-9))
    return (heard * _FRAME_S).astype(np.float64)


def _weight(word: str) -> int:
    long = len(_LONG_SYLLABLE.findall(word))
    return len(word) + (_LETTERS_OF_A_LONG_SYLLABLE - 1) * long + _LETTERS_BETWEEN_WORDS
