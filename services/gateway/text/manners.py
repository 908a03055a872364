"""Reads the values of SSML's prosody, emphasis and break."""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.contract.errors import InvalidRequest
from services.contract.speech import FASTEST, HIGHEST, LOWEST, SLOWEST

LONGEST_BREAK_S = 10.0

_BREAKS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_PITCHES = {"x-low": 0.75, "low": 0.87, "medium": 1.0, "default": 1.0, "high": 1.15, "x-high": 1.3}
_EMPHASES = {"none": (1.0, 1.0), "reduced": (1.1, 0.97), "moderate": (0.9, 1.05), "strong": (0.8, 1.1)}
"""Speed and pitch; engines have no other means to stress a word."""

_TIME = re.compile(r"\+?([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s)")
_FACTOR = re.compile(r"([+-]?)([0-9]{1,4}(?:\.[0-9]{1,6})?)(%?)")
_SEMITONES = re.compile(r"([+-][0-9]{1,2}(?:\.[0-9]{1,4})?)st")


def refused(sentence: str) -> InvalidRequest:
    """Return the error for a document that cannot be read."""
    return InvalidRequest(sentence, param="text")


def pause_of(attributes: Mapping[str, str]) -> float:
    """Return the seconds of a `<break>`; its time counts more than its strength."""
    strength, time = attributes.get("strength", "medium"), attributes.get("time")
    if strength not in _BREAKS_S:
        raise refused(f"<break> has no strength {strength[:40]}; use {', '.join(_BREAKS_S)}.")
    if time is None:
        return _BREAKS_S[strength]
    match = _TIME.fullmatch(time.strip())
    if not match:
        raise refused("<break> needs a time such as 500ms or 1.5s.")
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1)
    if seconds > LONGEST_BREAK_S:
        raise refused(f"<break> lasts at most {LONGEST_BREAK_S:g} seconds; ask for a shorter one.")
    return seconds


def in_prosody(speed: float, pitch: float, attributes: Mapping[str, str]) -> tuple[float, float]:
    """Return the speed and pitch inside a `<prosody>` that stands where they are `speed` and `pitch`."""
    speed *= _factor("rate", attributes.get("rate", "default"), _RATES)
    pitch *= _factor("pitch", attributes.get("pitch", "default"), _PITCHES)
    return _within("prosody", speed, pitch)


def emphasised(speed: float, pitch: float, attributes: Mapping[str, str]) -> tuple[float, float]:
    """Return the speed and pitch inside an `<emphasis>`."""
    level = attributes.get("level", "moderate")
    if level not in _EMPHASES:
        raise refused(f"<emphasis> has no level {level[:40]}; use {', '.join(_EMPHASES)}.")
    by_speed, by_pitch = _EMPHASES[level]
    return _within("emphasis", speed * by_speed, pitch * by_pitch)


def _factor(attribute: str, value: str, names: Mapping[str, float]) -> float:
    value = value.strip()
    if value in names:
        return names[value]
    if attribute == "pitch" and (semitones := _SEMITONES.fullmatch(value)):
        return float(2 ** (float(semitones[1]) / 12))
    match = _FACTOR.fullmatch(value)
    if not match or (match[1] and not match[3]):
        raise refused(f"<prosody> cannot take {attribute} {value[:40]}; use {', '.join(names)}, 120% or -10%.")
    factor = float(match[2]) / (100 if match[3] else 1)
    return 1 + factor if match[1] == "+" else 1 - factor if match[1] else factor


def _within(element: str, speed: float, pitch: float) -> tuple[float, float]:
    if not (SLOWEST <= speed <= FASTEST and LOWEST <= pitch <= HIGHEST):
        raise refused(
            f"<{element}> makes the rate or pitch extreme; "
            f"keep the rate within {SLOWEST:g} to {FASTEST:g} and the pitch within {LOWEST:g} to {HIGHEST:g}."
        )
    return speed, pitch
