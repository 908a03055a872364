"""Dates and times in words."""

from __future__ import annotations

import re
from decimal import Decimal

from services.gateway.text.locales import END, LETTER, START, Locale, Noun, any_of

_ISO = re.compile(START + r"(\d{4})-(\d{2})-(\d{2})(?![\d-])(?:T(?=\d\d:))?")
_YEAR_FIRST = re.compile(START + r"(\d{4})(?:[/.]\s?|年)(\d{1,2})(?:[/.]\s?|月)(\d{1,2})(?:日|(?![\d/-]|[.,]\d))")
_YEAR_LAST = re.compile(START + r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/-]|[.,]\d)")
_DAY_MONTH = re.compile(START + r"(\d{1,2})\.(\d{1,2})\.(?![\d.])")
_TIME = re.compile(rf"{START}([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d)(?:\.\d{{1,3}})?)?(?![\d:]|[.,]\d|{LETTER})")
_EPOCH = 2000
"""Years of two digits are of this century up to the pivot, then of the one before."""
_PIVOT = 69


def read_dates(text: str, locale: Locale) -> str:
    """Return `text` with its dates in words; what cannot be a date stays."""
    text = _ISO.sub(lambda m: _date(m, m[1], m[2], m[3], locale) + (" " if m[0].endswith("T") else ""), text)
    if locale.word("date_order") == "ymd":
        text = _YEAR_FIRST.sub(lambda m: _date(m, m[1], m[2], m[3], locale), text)
    text = _YEAR_LAST.sub(lambda m: _year_last(m, locale), text)
    if locale.language in ("de", "ru"):
        text = _DAY_MONTH.sub(lambda m: _date(m, "", m[2], m[1], locale), text)
    return _read_named(text, locale)


def read_times(text: str, locale: Locale) -> str:
    """Return `text` with its times of day in words."""
    if sign := locale.word("hour_sign"):
        text = re.sub(rf"{START}([01]?\d|2[0-4]) ?{sign} ?([0-5]\d)(?![\w:])", r"\1:\2", text)
    if after := locale.word("after_time"):
        text = re.sub(rf"{START}([01]?\d|2[0-4])[:.]([0-5]\d) {after}\b", r"\1:\2", text)
    if halves := locale.word("half_days"):
        text = re.sub(rf"{START}(1[0-2]|0?[1-9])(?::([0-5]\d))? ?({halves}){END}", lambda m: _half_day(m, locale), text)
    return _TIME.sub(lambda m: _time(m[1], m[2], m[3] or "", locale), text)


def _date(match: re.Match[str], year: str, month: str, day: str, locale: Locale) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return match[0]
    name = next(name for name, number in locale.table("months").items() if number == str(int(month)))
    if len(year) == 2:
        year = str(_EPOCH + int(year) - (100 if int(year) >= _PIVOT else 0))
    template = locale.word("date" if year else "date_without_year")
    said = template.format(
        year=locale.cardinal(year, "year") if year else "",
        month=name,
        day=_day(day, locale, match.string[: match.start()][-8:]),
    )
    return _without_repeated_year(said, match, locale)


def _without_repeated_year(said: str, match: re.Match[str], locale: Locale) -> str:
    """Drop a last word that the text goes on with: `20.11.2026 года`."""
    last = said.rpartition(" ")[2]
    follows = match.string[match.end() : match.end() + len(last) + 1].strip()
    return said.rpartition(" ")[0] if locale.language == "ru" and follows == last else said


def _day(day: str, locale: Locale, before: str) -> str:
    day = str(int(day))
    for rule in ("day_after", "the_day_after"):
        words = locale.word(rule)
        if words and re.search(rf"(?:^|\W)(?:{words})\s$", before, re.IGNORECASE):
            return locale.cardinal(day, rule)
    return locale.cardinal(day, "first_day" if day == "1" and "first_day" in locale.table("rules") else "day")


def _year_last(match: re.Match[str], locale: Locale) -> str:
    first, second, year = match[1], match[3], match[4]
    if len(year) == 2 and match[2] == "-":
        return match[0]
    month_first = locale.word("date_order") != "dmy" and match[2] != "." and int(first) <= 12
    month, day = (first, second) if month_first else (second, first)
    return _date(match, year, month, day, locale)


def _read_named(text: str, locale: Locale) -> str:
    """Read the day, and the year, beside a month's name."""
    if sign := locale.word("month_sign"):
        return re.sub(rf"(?<![\d.,])(1[0-2]|0?[1-9]){sign}", lambda m: _month(m[1], locale), text)
    if locale.language not in ("en", "de", "ru"):
        return _read_first(text, locale)
    months = any_of(locale.table("months"))
    year = r"(?:,? (\d{4})(?![\d.,]*\d))?"
    if locale.language == "en":
        text = re.sub(
            rf"\b({months}) (\d{{1,2}})(?:st|nd|rd|th)?(?![\w:]|[.,]\d){year}",
            lambda m: _named(m, m[1], m[2], m[3], "{month} {day}", locale),
            text,
        )
    dot = r"\.?" if locale.language == "de" else "(?:st|nd|rd|th)?" if locale.language == "en" else ""
    template = locale.word("day_first", "{day} {month}")
    return re.sub(
        rf"{START}(\d{{1,2}}){dot} ({months})(?!\w){year}",
        lambda m: _named(m, m[2], m[1], m[3], template, locale),
        text,
    )


def _read_first(text: str, locale: Locale) -> str:
    if "first_day" not in locale.table("rules"):
        return text
    months = any_of(locale.table("months"))
    return re.sub(
        rf"{START}1(?:er|º|°)? ((?:de )?(?:{months}))(?!\w)", lambda m: f"{_day('1', locale, '')} {m[1]}", text
    )


def _named(match: re.Match[str], month: str, day: str, year: str | None, template: str, locale: Locale) -> str:
    if not 1 <= int(day) <= 31:
        return match[0]
    number = locale.table("months")[month]
    name = next(name for name, value in locale.table("months").items() if value == number)
    before = match.string[: match.start()][-8:]
    if before.lower().endswith("the "):
        template = template.removeprefix("the ")
    said = template.format(month=name, day=_day(day, locale, before))
    if not year:
        return said
    return f"{said}{',' if locale.language == 'en' else ''} {locale.cardinal(year, 'year')}"


def _month(number: str, locale: Locale) -> str:
    return next(name for name, value in locale.table("months").items() if value == str(int(number)))


def _half_day(match: re.Match[str], locale: Locale) -> str:
    minute = match[2] if match[2] and int(match[2]) else ""
    hour = locale.cardinal(str(int(match[1])), "hour")
    said = locale.word("time").format(hour=hour, minute=_minute(minute, locale)) if minute else hour
    half = match[3].replace(".", "").upper()
    # The dot of a.m. may end the sentence too.
    return f"{said} {half}" + ("." if match[3].endswith(".") and not match.string[match.end() :].strip() else "")


def _minute(minute: str, locale: Locale) -> str:
    said = locale.cardinal(str(int(minute)), "minute")
    return locale.word("short_minute", "{minute}").format(minute=said) if minute[0] == "0" else said


def _time(hour: str, minute: str, second: str, locale: Locale) -> str:
    number = str(int(hour))
    # Koreans count the hours of the clock's face in their own words, later ones in Chinese.
    rule = "number" if locale.language == "ko" and not 1 <= int(hour) <= 12 else "hour"
    parts = {"hour": locale.cardinal(number, rule), "hours": _unit("h", number, locale)}
    if not int(minute) and not second:
        return locale.word("full_hour").format(**parts)
    said = locale.word("time").format(minute=_minute(minute, locale), **parts)
    return said + _seconds(second, locale)


def _seconds(second: str, locale: Locale) -> str:
    if not second:
        return ""
    number = str(int(second))
    noun = Noun.of(locale.table("units")["s"])
    said = f"{locale.cardinal(number, noun.rule)}{'' if locale.joined else ' '}{_unit('s', number, locale)}"
    return said if locale.joined else f" {locale.word('and')} {said}".replace("  ", " ")


def _unit(unit: str, number: str, locale: Locale) -> str:
    table = locale.table("units")
    return locale.form(Noun.of(table.get(unit) or "h"), Decimal(number))
