"""The voices: espeak-ng's variants under names that work in every language, each tuned to sound its best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.contract.errors import InvalidRequest
from services.contract.speech import Voice
from services.tts.engine import Utterance
from services.tts.engines.espeak.languages import Languages
from services.tts.filters import FilterSpec

DEFAULT_VOICE = "female"


@dataclass(frozen=True)
class Style:
    """How a variant is used.

    `pitch` is a factor on the variant's own; `pitch_range` is in espeak-ng's units, where 50 is its usual melody.
    The gains bring the long-term spectrum nearer to natural speech: the raw voice lacks warmth and is harsh
    around 3.5 kHz.
    """

    variant: str
    gender: Literal["female", "male", "neutral"] = "neutral"
    description: str = ""
    pitch: float = 1.0
    pitch_range: int = 50
    bass_db: float = 2.0
    body_db: float = -2.0
    presence_db: float = -5.0
    air_db: float = 2.0

    @property
    def filters(self) -> tuple[FilterSpec, ...]:
        """The filters that colour the voice."""
        return (
            ("highpass", "f=70"),
            ("lowshelf", f"f=320:t=q:w=0.7:g={self.bass_db}"),
            ("equalizer", f"f=1100:t=o:w=1.3:g={self.body_db}"),
            ("equalizer", f"f=3500:t=o:w=1.3:g={self.presence_db}"),
            ("highshelf", f"f=7500:t=q:w=0.7:g={self.air_db}"),
        )


STYLES = {
    "female": Style("f5", "female", "soft and warm", 0.96, 85, 2.2, -2.4, -7.0, -3.0),
    "female-2": Style("f3", "female", "clear", 0.98, 62, -0.6, -4.1, -8.0, 2.1),
    "female-3": Style("Annie", "female", "lively", 0.88, 50, 2.7, -5.5, -8.0, 1.0),
    "male": Style("m7", "male", "warm", 1.06, 65, 3.0, 0.0, 0.0, 5.0),
    "male-2": Style("m3", "male", "clear", 1.08, 75, 4.8, -2.2, -5.2, 4.2),
    "male-3": Style("max", "male", "deep", 0.95, 80, 4.4, -2.0, -2.8, 4.0),
}

USUAL_RATE_WPM = 160
RATES_WPM = {"de": 155, "en": 165, "es": 155, "it": 155, "ko": 165, "ru": 150, "zh": 190}
"""Pace at speed 1 by language, on the calm side of the syllable rates of natural speech."""

_WPM_LIMITS = (80.0, 449.0)
"""What espeak-ng can do by itself, and with marks that stay exact."""

_PITCH_LIMITS = (0.6, 1.65)
_STEPS_PER_OCTAVE = 64
"""Measured: pitch 0, 50 and 99 speak at 0.6, 1 and 1.65 times the voice's own pitch."""


@dataclass(frozen=True)
class Delivery:
    """Pace and melody in espeak-ng's units, and what is left to do on the finished sound.

    `tempo` is a factor on the pace, `shift` one on the pitch, which moves the timbre too.
    """

    rate_wpm: int
    pitch: int
    pitch_range: int
    tempo: float
    shift: float


def delivery_of(utterance: Utterance, style: Style) -> Delivery:
    """Return how `utterance` is to be spoken in `style`."""
    usual_wpm = RATES_WPM.get(utterance.language.split("-")[0], USUAL_RATE_WPM)
    rate_wpm, tempo = _within(usual_wpm * utterance.speed, _WPM_LIMITS)
    pitch, shift = _within(style.pitch * utterance.pitch, _PITCH_LIMITS)
    return Delivery(
        rate_wpm=round(rate_wpm),
        pitch=min(max(round(50 + _STEPS_PER_OCTAVE * math.log2(pitch)), 0), 99),
        pitch_range=min(round(style.pitch_range * pitch), 99),
        tempo=tempo,
        shift=shift,
    )


def _within(wanted: float, limits: tuple[float, float]) -> tuple[float, float]:
    """Return the nearest value within `limits`, and the factor that leads from it to `wanted`."""
    possible = min(max(wanted, limits[0]), limits[1])
    return possible, wanted / possible


class VoiceBook:
    """Finds voices by name."""

    def __init__(self, languages: Languages, variants: Sequence[str]) -> None:
        self._languages = languages
        self._variants = {variant.lower(): variant for variant in variants}

    def listed(self) -> list[Voice]:
        """Return the voices that go by a name of ours."""
        return [
            Voice(name=name, language="multi", gender=style.gender, description=style.description)
            for name, style in STYLES.items()
        ]

    def find(self, name: str) -> tuple[str, str | None]:
        """Return the canonical name of a voice and the tag of its language; None when it speaks any.

        Takes the listed names, espeak-ng's variants (`f3`), languages (`en-GB`), or both (`en-gb+f3`).
        Raises `InvalidRequest` when there is no such voice.
        """
        wanted = name.strip().lower() or DEFAULT_VOICE
        if wanted in STYLES:
            return wanted, None
        if wanted in self._variants:
            return self._variants[wanted], None
        language, plus, variant = wanted.partition("+")
        if (plus and variant not in self._variants) or not self._languages.speaks(language):
            raise InvalidRequest(
                f"voice: there is no voice {name!r}; GET /v1/engine lists the voices, such as {', '.join(STYLES)}, "
                "and a language with one of espeak-ng's variants, such as en-gb+f3, works too.",
                param="voice",
            )
        tag = self._languages.find(language)
        return (f"{tag}+{self._variants[variant]}" if plus else tag), tag

    def style(self, voice: str) -> Style:
        """Return the style of a canonical name."""
        if voice in STYLES:
            return STYLES[voice]
        if voice in self._variants.values():
            return Style(voice)
        return Style(voice.partition("+")[2])
