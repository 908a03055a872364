"""Writes out what a voice would stumble over: numbers, money, dates, times, units, abbreviations, addresses."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from services.gateway.text.addresses import read_addresses, read_telephones
from services.gateway.text.dates import read_dates, read_times
from services.gateway.text.locales import Locale, any_of, locale_of
from services.gateway.text.quantities import read_quantities

_EMOJI = re.compile(
    r" ?(?:[\U0001f000-\U0001faff\u2600-\u27bf\u231a\u231b\u23e9-\u23f3\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55]"
    r"[\U000e0020-\U000e007f\ufe0e\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff]*|[\u2190-\u21ff©®™]?\ufe0f\u20e3?|\u20e3)"
)
_WIDE = {ord("０") + digit: str(digit) for digit in range(10)} | {ord("％"): "%"}


def normalised(text: str, language: str) -> str:
    """Return `text` as it is said in `language`, a BCP 47 tag.

    Emoji are left out. In a language without tables only emoji and addresses change.
    Words with digits in them, such as MP3 and GPT-4, stay for the voice to read.
    """
    locale = locale_of(language)
    text = read_addresses(_without_emoji(text), locale)
    if locale is None:
        return text
    for step in _STEPS:
        text = step(text, locale)
    return text


def _without_emoji(text: str) -> str:
    without = _EMOJI.sub(_gap, text)
    return without if without == text else without.strip()


def _gap(match: re.Match[str]) -> str:
    """Keep two words apart that only an emoji parted."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return " " if match[0][0] != " " and before.isalnum() and after.isalnum() else ""


def _narrow(text: str, locale: Locale) -> str:
    return text.translate(_WIDE) if locale.language in ("zh", "ja", "ko") else text


def _read_signs(text: str, locale: Locale) -> str:
    """Read what stands before a number and means nothing without one: `No. 5`, `p. 5`."""
    signs, gap = locale.table("before numbers"), "" if locale.joined else " "
    return re.sub(rf"(?<!\w)({any_of(signs)})\s?(?=\d)", lambda match: signs[match[1]] + gap, text)


def _read_abbreviations(text: str, locale: Locale) -> str:
    known = _abbreviations(locale)
    return re.sub(rf"(?<!\w)({any_of(known)})(?!\w)", lambda match: _written_out(match, known), text)


@functools.cache
def _abbreviations(locale: Locale) -> dict[str, str]:
    """Return the abbreviations, also as they begin a sentence."""
    known = dict(locale.table("abbreviations"))
    return {key[0].upper() + key[1:]: value[0].upper() + value[1:] for key, value in known.items()} | known


def _written_out(match: re.Match[str], known: dict[str, str]) -> str:
    words = known[match[1]]
    if not words.endswith("."):
        return words
    # A dot that ends the sentence as well as `etc.` has to stay.
    follows = match.string[match.end() : match.end() + 8].lstrip()[:1]
    return words if not follows or follows.isupper() else words.removesuffix(".")


_STEPS: tuple[Callable[[str, Locale], str], ...] = (
    _narrow,
    _read_signs,
    read_dates,
    read_times,
    read_telephones,
    read_quantities,
    _read_abbreviations,
)
