"""Numbers and what they count: cardinals, ordinals, years, ranges, money and units."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal

from services.gateway.text.locales import LETTER, Locale, Noun, any_of

_START = rf"(?<!{LETTER})(?<![\d_])(?<!{LETTER}-)(?<!\d[.,])"
_SIGN = rf"(?:(?<!{LETTER})(?<![\d_)\]%°.-])[-−](?=[\d$€£¥₩₽]))?"
_RANGE = r"\s?[–—~〜～]\s?|-"
_NO_SPACES = {ord(space): None for space in " \u00a0\u202f"}
_MYRIADS = ("zh", "ja", "ko")
"""Languages that write 万 right after its number."""
_NATIVE_DIGITS = 2
"""Koreans count to 99 in their own words, and on in Chinese."""

_YEAR = re.compile(r"1[1-9]\d\d|20\d\d")


@dataclass(frozen=True)
class Number:
    """A number as it is written: its whole part, and the digits after the decimal sign."""

    whole: str
    fraction: str = ""

    @property
    def value(self) -> Decimal:
        """The number to choose a plural by; the last digits are enough."""
        return Decimal(f"{self.whole[-15:]}.{self.fraction[:6] or '0'}" if self.fraction else self.whole[-15:])


def read_quantities(text: str, locale: Locale) -> str:
    """Return `text` with its numbers, and the signs around them, in words."""
    text = _read_ordinals(_read_years(text, locale), locale)
    return _quantity(locale).sub(lambda match: _said(match, locale), text)


def number_words(token: str, locale: Locale, rule: str = "number") -> str:
    """Return the words for a number as it is written, such as `1,234.5`."""
    token = token.translate(_NO_SPACES)
    number = _parsed(token, locale)
    if number is None:
        return _pieces(token, locale)
    if len(number.whole) > 1 and number.whole[0] == "0" and not number.fraction:
        return locale.digits(number.whole)  # 007 is a name
    if not number.fraction:
        return locale.cardinal(number.whole, rule)
    if locale.table("fractions") and len(number.fraction) < len(locale.table("fractions")):
        return _with_fraction_nouns(number, locale)
    gap = "" if locale.joined else " "
    return gap.join((locale.cardinal(number.whole), locale.word("point"), locale.digits(number.fraction)))


def _parsed(token: str, locale: Locale) -> Number | None:
    group, decimal = re.escape(locale.word("group")), re.escape(locale.word("decimal"))
    match = re.fullmatch(rf"(\d+|\d{{1,3}}(?:{group}\d{{3}})+)(?:{decimal}(\d+))?", token)
    return Number(re.sub(r"\D", "", match[1]), match[2] or "") if match else None


def _pieces(token: str, locale: Locale) -> str:
    """Read versions and addresses of machines, such as `1.2.3`; a comma stays one."""
    gap = "" if locale.joined else " "
    names = {".": f"{gap}{locale.word('dot')}{gap}", ",": f",{gap}"}
    return "".join(
        names.get(piece) or (locale.digits(piece) if piece[:1] == "0" and piece != "0" else locale.cardinal(piece))
        for piece in re.split("([.,])", token)
    )


def _with_fraction_nouns(number: Number, locale: Locale) -> str:
    """Read 3,14 as three wholes and fourteen hundredths."""
    said = []
    for digits, name in ((number.whole, "0"), (number.fraction, str(len(number.fraction)))):
        noun = Noun.of(locale.table("fractions")[name])
        said.append(f"{locale.cardinal(digits, 'f')} {locale.form(noun, Decimal(digits[-15:]))}")
    return " ".join(said)


def _read_years(text: str, locale: Locale) -> str:
    """Read numbers that the words beside them tell to be years."""
    if words := locale.word("years"):
        text = re.sub(
            rf"\b((?:{words}) )({_YEAR.pattern})(?:([-–])({_YEAR.pattern}))?(?![\w-]|[.,]\d|\s?[%€$°])",
            lambda m: m[1] + _span_of_years(m[2], m[4], locale),
            text,
            flags=re.IGNORECASE,
        )
    if sign := locale.word("year_sign"):
        text = re.sub(rf"(?<![\d.,])(\d{{4}})(?={sign})", lambda m: locale.cardinal(m[1], "year"), text)
    if locale.language == "en":
        text = re.sub(r"(?<![\w.,-])(1[1-9]\d|20[1-9])0s\b", lambda m: _decade(m[1], locale), text)
    if nouns := locale.table("years"):
        text = re.sub(
            rf"(?<![\w.,-])(\d{{4}}) ({any_of(nouns)})(?!\w)",
            lambda m: f"{locale.cardinal(m[1], nouns[m[2]])} {'года' if m[2] == 'г.' else m[2]}",
            text,
        )
    return text


def _span_of_years(first: str, last: str | None, locale: Locale) -> str:
    said = locale.cardinal(first, "year")
    return locale.word("range").format(said, locale.cardinal(last, "year")) if last else said


def _decade(tens: str, locale: Locale) -> str:
    said = locale.cardinal(f"{tens}0", "year")
    return said.removesuffix("y") + "ies" if said.endswith("y") else f"{said}s"


def _read_ordinals(text: str, locale: Locale) -> str:
    if suffix := locale.word("ordinal_suffix"):
        text = re.sub(rf"{_START}(\d+(?:,\d{{3}})*)(?:{suffix})\b", lambda m: _ordinal(m[1], "ordinal", locale), text)
    for rule, words in locale.table("ordinals after").items():
        text = re.sub(
            rf"\b({words}) (\d{{1,4}})\.(?= \w)",
            lambda m, rule=rule: f"{m[1]} {_ordinal(m[2], rule, locale)}",  # type: ignore[misc]
            text,
            flags=re.IGNORECASE,
        )
    suffixes = locale.table("ordinal suffixes")
    if not suffixes:
        return text
    return re.sub(
        rf"{_START}(\d{{1,6}})(?:\s(?=번째))?({any_of(suffixes)})(?!{LETTER})(?!\s?[CF]\b)",
        lambda m: _ordinal(m[1], suffixes[m[2]], locale),
        text,
    )


def _ordinal(digits: str, rule: str, locale: Locale) -> str:
    return locale.cardinal(digits.replace(",", ""), rule)


@functools.cache
def _quantity(locale: Locale) -> re.Pattern[str]:
    """Return the pattern of a number with all that may stand around it."""
    number = r"\d+(?:[.,]\d+)*"
    if locale.word("group") == "space":
        number = rf"(?:\d{{1,3}}(?:[ \u00a0\u202f]\d{{3}})+(?!\d)(?:,\d+)?|{number})"
    money, units = any_of(locale.table("currencies")), any_of(locale.table("units"))
    return re.compile(
        rf"(?P<sign>{_SIGN})(?:(?<!{LETTER})(?P<before>{money})[ \u00a0]?)?{_START}"
        rf"(?P<number>{number})(?:(?:{_RANGE})(?P<to>{number})(?!-\d))?(?![.,]?\d)"
        rf"(?:[ \u00a0\u202f]?(?P<scale>{any_of(locale.table('scales'))})(?!{LETTER}))?"
        rf"(?:[ \u00a0\u202f]?(?:(?P<after>{money})|(?P<unit>{units}))(?!{LETTER}|\d)"
        # The dot of an abbreviation in mid-sentence; one that ends the sentence stays.
        rf"(?:\.(?=,|\s[a-zа-яё]))?)?(?!{LETTER}|_)"
    )


def _said(match: re.Match[str], locale: Locale) -> str:
    money, scale = match["before"] or match["after"], match["scale"]
    if scale and len(scale) == 1 and scale.isascii() and not money:
        return match[0]  # 4K is a name, $4K an amount
    if money:
        return _amount(match, locale.table("currencies")[money], locale)
    noun = Noun.of(locale.table("units")[match["unit"]]) if match["unit"] else None
    return _counted(match, noun, locale)


def _minus(match: re.Match[str], locale: Locale) -> str:
    return f"{locale.word('minus')}{'' if locale.joined else ' '}" if match["sign"] else ""


def _amount(match: re.Match[str], names: str, locale: Locale) -> str:
    """Read money: the small coin has a name of its own, except in millions and ranges."""
    major, _, minor = names.partition("; ")
    number = _parsed(match["number"].translate(_NO_SPACES), locale)
    if not (minor and number and len(number.fraction) == 2) or match["scale"] or match["to"]:
        return _counted(match, Noun.of(major), locale)
    coins = [(number.whole, major), (str(int(number.fraction)), minor)]
    said = [
        _with_noun(locale.cardinal(n, Noun.of(noun).rule), Noun.of(noun), Decimal(n[-15:]), locale)
        for n, noun in coins
        if int(n[-15:])
    ]
    if not said:
        return _with_noun(locale.cardinal("0"), Noun.of(major), Decimal(0), locale)
    return _minus(match, locale) + ("" if locale.joined else f" {locale.word('and')} ".replace("  ", " ")).join(said)


def _counted(match: re.Match[str], noun: Noun | None, locale: Locale) -> str:
    scale = Noun.of(locale.table("scales")[match["scale"]]) if match["scale"] else None
    first, last = match["number"], match["to"]
    counted = scale or noun
    rule = counted.rule if counted else _rule(match, locale)
    said = _minus(match, locale) + number_words(first, locale, rule)
    if last:
        said = locale.word("range").format(said, number_words(last, locale, rule))
    number = _parsed((last or first).translate(_NO_SPACES), locale)
    value = number.value if number else Decimal(2)
    if scale:
        said = f"{said}{'' if locale.language in _MYRIADS else ' '}{locale.form(scale, value)}"
    if not noun:
        return said
    if scale:
        name = noun.forms[-1]
        return _with_noun(said, Noun(noun.rule, (_of(scale, name, locale) + name,)), value, locale)
    written = _with_noun(said, noun, value, locale)
    prefix = noun.forms[0].partition("{")[0]
    # 時速80km/h says twice what it is.
    return written.removeprefix(prefix) if match.string[: match.start()].endswith(prefix) else written


def _with_noun(said: str, noun: Noun, value: Decimal, locale: Locale) -> str:
    form = locale.form(noun, value)
    return form.format(said) if "{}" in form else f"{said}{'' if locale.joined else ' '}{form}"


def _of(scale: Noun, name: str, locale: Locale) -> str:
    """Return the word between millions and what there are millions of."""
    word, elided = locale.word("of"), locale.word("of_vowel")
    if not word or len(scale.forms) == 1:
        return ""
    return elided if elided and name[0] in "aeiouyé" else f"{word} "


def _rule(match: re.Match[str], locale: Locale) -> str:
    """Return the rule for a number by the word after it: gender, or the numbers a counter asks for."""
    if match["to"] and all(map(_YEAR.fullmatch, (match["number"], match["to"]))):
        return "year"
    end = "" if locale.language == "ru" else f"(?!{LETTER})"
    if locale.language == "ko" and len(match["to"] or match["number"]) > _NATIVE_DIGITS:
        return "number"
    for rule, words in locale.table("counters").items():
        if re.compile(rf"[ \u00a0]?(?:{words}){end}").match(match.string, match.end()):
            return rule
    return "number"
