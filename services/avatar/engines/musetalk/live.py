"""Hearing speech while it is still being spoken.

Frame i can be generated once the sound reaches 40 i + 120 ms (at 25 frames a second): its window ends
there. What is so recent is heard without what follows it, and what lies half a minute back is not
heard with it; a whole utterance is heard in segments of 30 s. That is all that differs, so an
utterance of up to 20 s that is there as a whole is heard exactly alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from services.avatar.engines.musetalk.gate import Gate
from services.avatar.engines.musetalk.hearing import (
    FEATURES,
    LAYERS,
    SAMPLE_RATE_HZ,
    SEGMENT_SAMPLES,
    SEGMENT_TOKENS,
    TOKENS_PER_S,
    Ears,
    Sound,
    span_of,
)
from services.avatar.engines.musetalk.resampling import PieceResampler
from services.contract.speech import AudioChunk
from services.contract.video import Timeline

_STEP_S = 5
_OVERLAP_S = 15
"""What is heard begins at a multiple of `_STEP_S`, at least so long before what is wanted of it."""


class LiveHearing:
    """Sound that comes in pieces, of which the last half minute is held."""

    def __init__(self, ears: Ears, fps: Fraction) -> None:
        self._ears, self._fps = ears, fps
        self._sound: Sound = np.zeros(0, np.float32)
        self._begin_s = 0
        """Where it begins."""
        self._tokens = torch.zeros(0, LAYERS, FEATURES, device=ears.device)
        """What was heard of it."""

    def hear(self, sound: Sound, replaced: int = 0) -> None:
        """Take the next piece, at 16 kHz; it takes the place of the last `replaced` samples too."""
        self._sound = np.concatenate([self._sound[: len(self._sound) - replaced], sound])

    def frames_ready(self) -> int:
        """Return how many frames, from the first on, have all they need to hear."""
        ready = math.ceil(self._known * self._fps / TOKENS_PER_S)
        while ready and span_of(ready - 1, self._fps)[1] > self._known:
            ready -= 1
        return ready

    def go_to(self, frame: int) -> None:
        """Forget what neither `frame` nor those after it need."""
        begin_s = max(0, (span_of(frame, self._fps)[1] // TOKENS_PER_S - _OVERLAP_S) // _STEP_S * _STEP_S)
        if begin_s != self._begin_s:
            self._sound = self._sound[(begin_s - self._begin_s) * SAMPLE_RATE_HZ :]
            self._tokens = self._tokens[:0]
            self._begin_s = begin_s

    def window(self, frame: int) -> Tensor:
        """Return what frame `frame` hears, [50, 384]; silence lies before the sound, and behind what has come.

        Frames must be asked for in order.
        """
        self.go_to(frame)
        start, stop = span_of(frame, self._fps)
        begin = self._begin_s * TOKENS_PER_S
        if min(stop, self._known) > begin + len(self._tokens):
            known = min(self._known - begin, SEGMENT_TOKENS)
            self._tokens = self._ears.tokens(self._sound[:SEGMENT_SAMPLES])[:known]
        heard = self._tokens[max(0, start - begin) : max(0, stop - begin)]
        before = torch.zeros(max(0, min(stop, 0) - start), LAYERS, FEATURES, device=self._ears.device)
        after = torch.zeros(stop - start - len(before) - len(heard), LAYERS, FEATURES, device=self._ears.device)
        return torch.cat([before, heard, after]).flatten(0, 1)

    @property
    def _known(self) -> int:
        """How many tokens there can be of what has come."""
        return self._begin_s * TOKENS_PER_S + len(self._sound) * TOKENS_PER_S // SAMPLE_RATE_HZ


class LiveSpeech:
    """Speech in pieces of any length, turned into what ears and gate take."""

    def __init__(self, hearing: LiveHearing, gate: Gate, fps: Fraction, first_frame: int) -> None:
        self._hearing, self._gate = hearing, gate
        self._fps, self._first_frame = fps, first_frame
        self._rate_hz = self._samples = 0

    def frames(self, pieces: Iterable[AudioChunk]) -> Iterator[int]:
        """Yield the frames that hold the pieces, from 0 on, each as soon as it can be generated.

        Raises `InvalidRequest` when the pieces differ in sample rate.
        """
        resampler, done = PieceResampler(), 0
        for piece in pieces:
            replaced, sound = resampler.feed(piece)
            self._rate_hz, self._samples = piece.sample_rate_hz, self._samples + piece.samples
            self._hearing.go_to(done)
            self._hearing.hear(sound, replaced)
            self._gate.hear(sound[replaced:])
            ready = min(self._hearing.frames_ready(), self._frames())
            yield from range(done, ready)
            done = max(done, ready)
        self._gate.end()
        yield from range(done, self._frames())

    def _frames(self) -> int:
        """Return how many frames hold what has come."""
        return (
            Timeline(self._fps, self._rate_hz).frames_to_hold(self._first_frame, self._samples) if self._rate_hz else 0
        )
