"""One attempt at one utterance: collects its frames, watches over them, and makes sound of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from services.contract.speech import AudioChunk
from services.tts.engines.qwen3.codec import CodecWindow, decode_together
from services.tts.engines.qwen3.guard import RepeatWatchdog, frame_budget
from services.tts.engines.qwen3.scheduler import SAMPLE_RATE_HZ, Job
from services.tts.sound import Sound, pcm_of

MOST_TAKES = 3

_RAMP_FRAMES = (1, 4, 8, 12)
"""Frames of the first pieces of a live utterance; the last number stays. The first is 80 ms of sound."""

_FADE_S = 0.01


class Take:
    """An attempt at `job`."""

    def __init__(self, job: Job, window: CodecWindow) -> None:
        self.job = job
        self.window = window
        self._budget = frame_budget(job.utterance.text)
        self._cap = job.utterance.generation.max_new_tokens
        self._watchdog = RepeatWatchdog()
        self._ramp: Sequence[int] = _RAMP_FRAMES
        self._pending: list[Tensor] = []
        self._frames = 0
        self.ran_on = False
        """Whether it had to be stopped."""

    @property
    def over(self) -> bool:
        """Whether no more frames are wanted."""
        return self.ran_on or self.job.abandoned or self._frames >= self._cap

    @property
    def worth_another(self) -> bool:
        """Whether it should be spoken again: it ran on, and nothing of it has been heard."""
        wanted = not self.job.abandoned and not self.job.utterance.live
        return self.ran_on and wanted and self.job.take < MOST_TAKES

    def push(self, codes: Tensor) -> None:
        """Take the next frame, codes [codebooks]; may set `ran_on`."""
        self._pending.append(codes)
        self._frames += 1
        stuck = self._watchdog.push(int(codes[0]))
        self.ran_on = stuck or self._frames >= self._budget

    @property
    def due(self) -> bool:
        """Whether there is a piece that should be heard now."""
        return self.job.utterance.live and len(self._pending) >= self._ramp[0]

    def send(self, sound: Sound) -> None:
        """Hand over the sound of the frames that were pending."""
        self._send(sound, last=False)
        self._ramp = self._ramp[1:] or self._ramp

    def finish(self, rest: Sound) -> None:
        """Hand over the sound of the frames left, faded out where the speech was cut, and end the job."""
        if self.ran_on or self._frames >= self._cap:
            fade = min(len(rest), round(_FADE_S * SAMPLE_RATE_HZ))
            rest = rest.copy()
            rest[len(rest) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        if len(rest):
            self._send(rest, last=True)
        self.job.end()

    def take_frames(self) -> Tensor | None:
        """Return the frames that were not decoded yet [frames, codebooks], or None."""
        frames = torch.stack(self._pending) if self._pending else None
        self._pending = []
        return frames

    def _send(self, sound: Sound, *, last: bool) -> None:
        cut = last and self.ran_on
        notices = (f"The speech ran on and was cut after {self._frames} codec frames.",) if cut else ()
        self.job.send(AudioChunk(pcm_of(sound), SAMPLE_RATE_HZ, notices=notices, takes=self.job.take, cut=cut))


def decoded(takes: Sequence[Take]) -> list[Sound]:
    """Return the sound of what is pending of each of `takes`, made together."""
    sounds = [np.empty(0, np.float32)] * len(takes)
    frames = {at: some for at, take in enumerate(takes) if (some := take.take_frames()) is not None}
    if frames:
        windows = [takes[at].window for at in frames]
        for at, sound in zip(frames, decode_together(windows, list(frames.values())), strict=True):
            sounds[at] = sound
    return sounds
