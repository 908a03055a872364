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

from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.instants import Floats, Instants, smoothstep
from services.avatar.engines.portrait.phonemes import Phone, breath_groups

PAUSE_REACH_S = 0.08
"""How far into a pause speech moves the mouth; beyond it the face is at rest, so segments may be cut there."""

_LEAD_S = 0.015
"""Lips are seen to move a little before the sound is heard."""

# How long before and after a sound its pull on each shape has faded away.
_BEFORE_S = np.array([0.14, 0.15, 0.26, 0.13, 0.13, 0.10, 0.09, 0.16, 0.14])
_AFTER_S = np.array([0.13, 0.13, 0.18, 0.12, 0.12, 0.10, 0.09, 0.16, 0.12])

_SHORTEST_CLOSURE_S = 0.055
_CLOSING_S = 0.075
_SHORTEST_OPENING_S, _LONGEST_OPENING_S = 0.07, 0.15

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
        gate = _gate(times, group[0].start_s, group[-1].end_s)
        result.presence[inside] = gate
        result.weights[inside] = _blend(group, times) * gate[:, None]
        result.closed[inside] = _contacts(group, times, lambda phone: phone.viseme.closes)
        result.bitten[inside] = _contacts(group, times, lambda phone: phone.viseme.bites)
    return result


def _gate(times_s: Floats, start_s: float, end_s: float) -> Floats:
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
    reached = np.where(contact, 1.0, 0.7 + 0.3 * np.clip(length_s / 0.09, 0.33, 1))
    shape[:, _JAW] *= reached * np.where(stressed, 1.08, 1 - 0.15 * openness)
    dominance *= np.where(stressed, 1.15, 1)[:, None]
    return shape, dominance


def _blend(phones: Sequence[Phone], times_s: Floats) -> Floats:
    """Return the mean [steps, 9] of the shapes of `phones`, weighted by their pull at each step."""
    shape, dominance = _targets(phones)
    total = np.full((len(times_s), len(MOUTH_SHAPES)), 1e-6)
    mixed = np.zeros_like(total)
    for index, phone in enumerate(phones):
        quarter_s = (phone.end_s - phone.start_s) / 4
        core = (phone.start_s + quarter_s, phone.end_s - quarter_s)
        near = slice(*np.searchsorted(times_s, (core[0] - _BEFORE_S.max(), core[1] + _AFTER_S.max())))
        times = times_s[near, None]
        away = np.maximum((core[0] - times) / _BEFORE_S, (times - core[1]) / _AFTER_S)
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
        start_s = min(phone.start_s, phone.end_s - _SHORTEST_CLOSURE_S)
        following_s = phones[index + 1].end_s - phones[index + 1].start_s if index + 1 < len(phones) else 0.0
        opening_s = float(np.clip(0.75 * following_s, _SHORTEST_OPENING_S, _LONGEST_OPENING_S))
        away = np.maximum((start_s - times_s) / _CLOSING_S, (times_s - phone.end_s) / opening_s)
        contact = np.maximum(contact, smoothstep(1 - away))
    return contact
