"""The mouth shapes of speech, and how strongly each insists on its own."""

from __future__ import annotations

from dataclasses import dataclass

from services.avatar.engines.portrait.expression import MOUTH_SHAPES


@dataclass(frozen=True)
class Viseme:
    """What the lips do for a class of sounds.

    `shape` are the weights of MOUTH_SHAPES; `dominance` says, shape by shape, how much of it is kept
    against the neighbouring sounds (a vowel has 1; /k/ does not care about the lips, so has little).
    """

    shape: tuple[float, ...]
    dominance: tuple[float, ...]
    closes: bool = False
    """The lips meet, whatever the neighbours say."""
    bites: bool = False
    """The lower lip meets the upper teeth."""
    stops: bool = False
    """The breath is stopped: a silence before the sound belongs to it."""
    openness: float = 0.0
    """How open a vowel is, 0 to 1; consonants have 0."""


def _weights(default: float, **by_shape: float) -> tuple[float, ...]:
    return tuple(by_shape.get(name, default) for name in MOUTH_SHAPES)


def vowel(openness: float, frontness: float, rounding: float) -> Viseme:
    """Return the shape of a vowel from its phonetic features, each 0 to 1."""
    spread = frontness * (1 - rounding)
    shape = _weights(
        0.0,
        jaw=0.13 + 0.76 * openness - 0.04 * rounding,
        wide=spread * (0.75 - 0.6 * openness),
        round=rounding * (1 - 0.45 * openness),
        up=0.06 + 0.18 * spread + 0.07 * openness,
        low=(0.1 - 0.05 * rounding) + 0.3 * spread * (1 - 0.6 * openness) + 0.05 * openness,
        tongue=0.4 * frontness * (1 - openness),
    )
    reduced = openness < 0.3 and spread < 0.5 and rounding < 0.5
    insistence = 0.7 if reduced else 1.0
    return Viseme(shape, _weights(insistence, jaw=insistence + 1.4 * openness), openness=openness)


BILABIAL = Viseme(
    _weights(0.0, press=0.8),
    _weights(1.5, jaw=1.2, wide=0.5, round=0.5, press=2.4, tongue=0.4),
    closes=True,
    stops=True,
)
LABIODENTAL = Viseme(
    _weights(0.0, jaw=0.05, up=0.1, bite=1.0), _weights(1.4, jaw=1.1, wide=0.5, round=0.55, bite=2.5), bites=True
)
NEAR_BILABIAL = Viseme(_weights(0.0, jaw=0.08, low=0.05, press=0.25), _weights(1.2, wide=0.5, round=0.5))
LIP_GLIDE = Viseme(_weights(0.0, jaw=0.07, round=0.9), _weights(1.1, round=1.4))
LABIAL_PALATAL = Viseme(_weights(0.0, jaw=0.07, round=0.85, low=0.05, tongue=0.3), _weights(1.0, round=1.3))
DENTAL = Viseme(_weights(0.0, jaw=0.22, wide=0.1, up=0.15, low=0.25, tongue=1.0), _weights(0.8, tongue=1.2))
ALVEOLAR_STOP = Viseme(
    _weights(0.0, jaw=0.14, wide=0.15, up=0.15, low=0.3, tongue=0.6),
    _weights(0.5, wide=0.3, round=0.2, tongue=0.9),
    stops=True,
)
ALVEOLAR = Viseme(
    _weights(0.0, jaw=0.17, wide=0.1, up=0.08, low=0.2, tongue=0.7), _weights(0.4, wide=0.3, round=0.2, tongue=0.8)
)
SIBILANT = Viseme(_weights(0.0, jaw=0.06, wide=0.3, up=0.2, low=0.4, tongue=0.3), _weights(0.9, round=0.5))
POSTALVEOLAR = Viseme(_weights(0.0, jaw=0.1, round=0.5, up=0.35, low=0.35), _weights(1.1))
RHOTIC = Viseme(_weights(0.0, jaw=0.13, round=0.45, up=0.2, low=0.3, tongue=0.3), _weights(0.8))
PALATAL = Viseme(_weights(0.0, jaw=0.16, wide=0.5, up=0.25, low=0.45, tongue=0.4), _weights(0.7, round=0.4))
VELAR = Viseme(_weights(0.0, jaw=0.26, up=0.1, low=0.25, tongue=0.2), _weights(0.3, wide=0.2, round=0.15), stops=True)
GLOTTAL = Viseme(_weights(0.0, jaw=0.3, up=0.1, low=0.2), _weights(0.1))
NEUTRAL = vowel(0.22, 0.4, 0.0)
