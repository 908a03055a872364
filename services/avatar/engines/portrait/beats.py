"""Nods and raised brows: the head's answer to stressed syllables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.avatar.engines.portrait.instants import Floats, Instants
from services.avatar.engines.portrait.noise import uniform
from services.avatar.engines.portrait.phonemes import Phone

_NOD_S = 0.24
"""Half the length of a nod; one syllable's nod runs into the next one's."""

_SYLLABLE_S, _STRESSED_DB = 0.13, -20.0
"""A peak of loudness stands alone for this long either way, and is this loud in speech levelled at -16 LUFS."""

_CALM_S = 0.14
"""Nods fade in and out over this time at the edges of speech."""


def stressed_times_s(phones: Sequence[Phone]) -> Floats:
    """Return when the stressed syllables of `phones` are loudest."""
    return np.array([0.6 * phone.start_s + 0.4 * phone.end_s for phone in phones if phone.stressed])


def loudest_times_s(level: Floats, instants: Instants) -> Floats:
    """Return when syllables are loudest, from the loudness `level` [steps] in dB: peaks of a smoothed curve."""
    reach = round(_SYLLABLE_S / instants.step_s)
    fade = np.hanning(reach + 2)[1:-1]
    smooth = np.convolve(np.pad(level, reach, mode="edge"), fade / fade.sum(), "same")
    around = np.lib.stride_tricks.sliding_window_view(smooth, 2 * reach + 1)
    peak = (around.argmax(axis=1) == reach) & (smooth[reach : len(level) + reach] > _STRESSED_DB)
    times_s: Floats = instants.times_s()[peak]
    return times_s


def emphasis(beats_s: Floats, presence: Floats, instants: Instants, moments_s: Floats, seed: int) -> Floats:
    """Return [frames] how strongly the head answers the syllables at `beats_s`, 0 to about 1.

    Only some syllables are answered; which ones, and how much, is chance that hangs on `moments_s` of the
    motion alone. Where `presence` ([steps]) says there is a pause, the answer is 0.
    """
    times_s = instants.by_frame(instants.times_s()).mean(axis=1)
    answer = np.zeros(instants.frames)
    offset_s = moments_s[0] - times_s[0] if instants.frames else 0.0
    strength = uniform(np.round((beats_s + offset_s) * 20).astype(np.int64), seed, "nod")
    for beat_s, force in zip(beats_s, np.clip(1.4 * strength - 0.3, 0, 1), strict=True):
        near = slice(*np.searchsorted(times_s, (beat_s - _NOD_S, beat_s + _NOD_S)))
        bump = (1 + np.cos(np.pi * (times_s[near] - beat_s) / _NOD_S)) / 2
        answer[near] = np.maximum(answer[near], force * bump)
    calmed: Floats = answer * _calm(presence, instants)
    return calmed


def _calm(presence: Floats, instants: Instants) -> Floats:
    """Return [frames] 1 well inside speech and 0 at its edges."""
    reach = round(_CALM_S / instants.step_s)
    fade = np.hanning(2 * reach + 3)[1:-1]
    pause_near = np.convolve(presence < 0.999, np.ones(2 * reach + 1))[reach : len(presence) + reach] > 0.5
    calm = np.convolve(~pause_near, fade / fade.sum())[reach : len(presence) + reach]
    by_frame: Floats = instants.by_frame(calm).mean(axis=1)
    return by_frame
