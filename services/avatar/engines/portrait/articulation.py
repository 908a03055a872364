"""Co-articulation: how neighbouring mouth shapes flow into each other.

Each sound pulls the mouth towards its own shape, strongest while it is heard and fading before and
after (the dominance functions of Cohen and Massaro, 1993). Lips that round start long before the
vowel is heard; a jaw moves in a tenth of a second. Sounds that close the lips are kept apart: they
are not averaged away by open neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.instants import Floats, Instants
from services.avatar.engines.portrait.phonemes import Phone, breath_groups

PAUSE_REACH_S = 0.08
"""How far into a pause speech moves the mouth; beyond it the face is at rest, so segments may be cut there."""

_LEAD_S = 0.005
"""Lips are seen to move a little before the sound is heard."""

# How long before and after its middle a sound's pull on each shape has faded away; a longer sound
# adds this much of its length, and one longer still is held.
_BEFORE_S = np.array([0.055, 0.10, 0.16, 0.06, 0.06, 0.06, 0.06, 0.14, 0.09])
_AFTER_S = np.array([0.05, 0.085, 0.12, 0.055, 0.055, 0.06, 0.06, 0.14, 0.08])
_STRETCH = 0.28
_LONGEST_GLIDE_S = 0.2
_PULL_OF_REST = 0.01

# Lips that meet do so for at least this long, and need this long to come together and to part:
# less beside a short vowel, which would not be seen at all otherwise.
_SHORTEST_CLOSURE_S = 0.04
_CLOSING_S = (0.035, 0.065)
_OPENING_S = (0.06, 0.15)
_SETTLE_S = 0.018

_JAW = MOUTH_SHAPES.index("jaw")


@dataclass(frozen=True)
class Articulation:
    """What the mouth does at each step of some `Instants`."""

    weights: Floats
    """[steps, 9] weights of MOUTH_SHAPES, without regard to lips that must meet."""
    closed: Floats
    """[steps] 1 where the lips meet."""
    bitten: Floats
    """[steps] 1 where the lower lip meets the upper teeth."""
    presence: Floats
    """[steps] 1 inside speech, fading to 0 at the edges of each run between pauses."""


def silence(instants: Instants) -> Articulation:
    """Return a mouth at rest."""
    steps = instants.frames * instants.steps_per_frame
    still = np.zeros(steps)
    return Articulation(np.zeros((steps, len(MOUTH_SHAPES))), still, still.copy(), still.copy())


def articulate(phones: Sequence[Phone], instants: Instants) -> Articulation:
    """Return the mouth that speaks `phones`, whose times count from the first frame's first sample."""
    result = silence(instants)
    times_s = instants.times_s() + _LEAD_S
    for group in breath_groups(phones):
        inside = slice(*np.searchsorted(times_s, (group[0].start_s - PAUSE_REACH_S, group[-1].end_s + PAUSE_REACH_S)))
        times = times_s[inside]
        gate = pause_gate(times, group[0].start_s, group[-1].end_s)
        result.presence[inside] = gate
        result.weights[inside] = _blend(group, times) * gate[:, None]
        result.closed[inside] = _contacts(group, times, lambda phone: phone.viseme.closes)
        result.bitten[inside] = _contacts(group, times, lambda phone: phone.viseme.bites)
    return result


def pause_gate(times_s: Floats, start_s: float, end_s: float) -> Floats:
    """Return 1 inside speech that lasts from `start_s` to `end_s`, fading to 0 within PAUSE_REACH_S outside."""
    opening = smoothstep((times_s - start_s + PAUSE_REACH_S) / (1.6 * PAUSE_REACH_S))
    closing = smoothstep((end_s + PAUSE_REACH_S - times_s) / (1.8 * PAUSE_REACH_S))
    return opening * closing


def _targets(phones: Sequence[Phone]) -> tuple[Floats, Floats]:
    """Return shapes and dominances [phones, 9]: stress opens, haste and lack of stress undershoot."""
    shape = np.array([phone.viseme.shape for phone in phones])
    dominance = np.array([phone.viseme.dominance for phone in phones])
    length_s = np.array([phone.end_s - phone.start_s for phone in phones])
    stressed = np.array([phone.stressed for phone in phones])
    contact = np.array([phone.viseme.closes or phone.viseme.bites for phone in phones])
    openness = np.array([phone.viseme.openness for phone in phones])
    reached = np.where(contact, 1.0, 0.8 + 0.2 * np.clip(length_s / 0.08, 0.33, 1))
    shape[:, _JAW] *= reached * np.where(stressed, 1.08, 1 - 0.1 * openness)
    dominance *= np.where(stressed, 1.15, 1)[:, None]
    return shape, dominance


def _blend(phones: Sequence[Phone], times_s: Floats) -> Floats:
    """Return the mean [steps, 9] of the shapes of `phones`, weighted by their pull at each step."""
    shape, dominance = _targets(phones)
    total = np.full((len(times_s), len(MOUTH_SHAPES)), _PULL_OF_REST)
    mixed = np.zeros_like(total)
    for index, phone in enumerate(phones):
        length_s = min(phone.end_s - phone.start_s, _LONGEST_GLIDE_S)
        held = (phone.start_s + length_s / 2, phone.end_s - length_s / 2)
        before_s, after_s = _BEFORE_S + _STRETCH * length_s, _AFTER_S + _STRETCH * length_s
        near = slice(*np.searchsorted(times_s, (held[0] - before_s.max(), held[1] + after_s.max())))
        times = times_s[near, None]
        away = np.maximum((held[0] - times) / before_s, (times - held[1]) / after_s)
        pull = dominance[index] * np.square(1 - np.square(np.clip(away, 0, 1)))
        total[near] += pull
        mixed[near] += pull * shape[index]
    blended: Floats = mixed / total
    return blended


def _contacts(phones: Sequence[Phone], times_s: Floats, touches: Callable[[Phone], bool]) -> Floats:
    """Return [steps] 1 while the phones that `touches` picks are held, with ramps to and from them."""
    contact = np.zeros(len(times_s))
    for index, phone in enumerate(phones):
        if not touches(phone):
            continue
        start_s = min(phone.start_s + _SETTLE_S, phone.end_s - _SETTLE_S - _SHORTEST_CLOSURE_S)
        closing_s = np.clip(0.6 * _length_s(phones, index - 1), *_CLOSING_S)
        opening_s = np.clip(0.7 * _length_s(phones, index + 1), *_OPENING_S)
        away = np.maximum((start_s - times_s) / closing_s, (times_s - phone.end_s + _SETTLE_S) / opening_s)
        contact = np.maximum(contact, smoothstep(1 - away))
    return contact


def _length_s(phones: Sequence[Phone], index: int) -> float:
    return phones[index].end_s - phones[index].start_s if 0 <= index < len(phones) else 0.0
