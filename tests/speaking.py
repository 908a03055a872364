"""Asks engines to speak, and looks at what is heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from services.contract.speech import AudioChunk, Mark, SpeechRequest, join_chunks
from services.tts.engine import SpeechEngine

THREE_SENTENCES = "The first sentence is this one. The second sentence follows it. Here is the third sentence."


def chunks_of(engine: SpeechEngine, text: str, **fields: object) -> list[AudioChunk]:
    """Return the chunks with sound that `engine` makes of a request."""
    request = SpeechRequest.model_validate({"text": text, **fields})
    return [chunk for chunk in engine.synthesize(engine.resolve(request)) if chunk.pcm]


def speak(engine: SpeechEngine, text: str, **fields: object) -> AudioChunk:
    """Return the whole of it."""
    return join_chunks(chunks_of(engine, text, **fields))


def samples_of(speech: AudioChunk) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the sound as numbers."""
    return np.frombuffer(speech.pcm, "<i2").astype(float)


def within(inner: Mark, outer: Mark) -> bool:
    """Whether one mark lies inside the other."""
    return outer.start_s <= inner.start_s and inner.end_s <= outer.end_s


def pitch_hz(speech: AudioChunk) -> float:
    """Return where the middle of the spectrum lies."""
    power = np.abs(np.fft.rfft(samples_of(speech))) ** 2
    middle = np.searchsorted(np.cumsum(power), power.sum() / 2)
    return float(middle * speech.sample_rate_hz / len(samples_of(speech)))
