"""What `<say-as>` asks for: text read as a number, a date, letters and so on."""

from __future__ import annotations

import re
from collections.abc import Callable

from services.gateway.text.addresses import telephone
from services.gateway.text.dates import read_dates, read_times
from services.gateway.text.locales import Locale, locale_of
from services.gateway.text.quantities import read_quantities

_DIGITS = re.compile(r"\d+")
_NUMBER_PARTS = re.compile(r"\D*(\d+)\D+(\d+)(?:\D+(\d+))?\D*")


def said_as(text: str, kind: str, layout: str, language: str) -> str:
    """Return `text` read as a `kind`, one of `KINDS`; `layout` is the order of a date, such as `dmy`.

    Where the language has no tables, or the text is nothing of the kind, it stays.
    """
    locale = locale_of(language)
    text = text.strip()
    if kind in ("characters", "spell-out"):
        return _characters(text, locale)
    return KINDS[kind](_ordered(text, layout) if kind == "date" else text, locale) if locale else text


def _characters(text: str, locale: Locale | None) -> str:
    named = (locale.digits(c) if locale and c.isdecimal() else c.upper() for c in text if not c.isspace())
    return " ".join(named)


def _digits(text: str, locale: Locale) -> str:
    return _DIGITS.sub(lambda match: locale.digits(match[0]), text)


def _ordinal(text: str, locale: Locale) -> str:
    return _DIGITS.sub(lambda match: locale.cardinal(match[0], "ordinal"), text)


def _ordered(text: str, layout: str) -> str:
    """Return a date as ISO 8601 writes it, which all languages read."""
    match = _NUMBER_PARTS.fullmatch(text)
    if not match or sorted(layout) != ["d", "m", "y"] or match[3] is None:
        return text
    parts = dict(zip(layout, match.groups(), strict=True))
    return f"{parts['y']:0>4}-{parts['m']:0>2}-{parts['d']:0>2}"


KINDS: dict[str, Callable[[str, Locale], str]] = {
    "cardinal": read_quantities,
    "number": read_quantities,
    "ordinal": _ordinal,
    "digits": _digits,
    "characters": _characters,
    "spell-out": _characters,
    "date": read_dates,
    "time": read_times,
    "telephone": telephone,
}
