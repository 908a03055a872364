"""Japanese numbers as they are pronounced, with the sound changes that hundreds, thousands and counters bring."""

from __future__ import annotations

import re
from decimal import Decimal

_DIGITS = ("ゼロ", "イチ", "ニ", "サン", "ヨン", "ゴ", "ロク", "ナナ", "ハチ", "キュー")
_HUNDREDS = {1: "ヒャク", 3: "サンビャク", 6: "ロッピャク", 8: "ハッピャク"}
_THOUSANDS = {1: "セン", 3: "サンゼン", 8: "ハッセン"}
_MYRIADS = ("", "マン", "オク", "チョー")
_LARGEST = 10 ** (4 * len(_MYRIADS)) - 1

_WITH_COUNTER = {
    "月": {4: "シガツ", 7: "シチガツ", 9: "クガツ"},
    "時": {4: "ヨジ", 7: "シチジ", 9: "クジ"},
    "年": {4: "ヨネン"},
    "人": {1: "ヒトリ", 2: "フタリ", 4: "ヨニン"},
    "分": {1: "イップン", 3: "サンプン", 4: "ヨンプン", 6: "ロップン", 8: "ハップン", 10: "ジュップン"},
    "日": {
        1: "ツイタチ",
        2: "フツカ",
        3: "ミッカ",
        4: "ヨッカ",
        5: "イツカ",
        6: "ムイカ",
        7: "ナノカ",
        8: "ヨーカ",
        9: "ココノカ",
        10: "トーカ",
        14: "ジューヨッカ",
        20: "ハツカ",
        24: "ニジューヨッカ",
    },
}
_INHERITED = {"時": (4, 7, 9), "年": (4,), "人": (4,), "分": (1, 3, 4, 6, 8)}
"""Last digits that change in larger numbers too: 14時 is ジューヨジ."""

_KANJI_DIGITS = {kanji: value for value, kanji in enumerate("〇一二三四五六七八九")}
_KANJI_UNITS = {"十": 10, "百": 100, "千": 1_000}
_KANJI_MYRIADS = {"万": 10**4, "億": 10**8, "兆": 10**12}
_DECIMAL = re.compile(r"\d+(,\d{3})*(\.\d+)?")


def number_of(text: str) -> Decimal | None:
    """Return the value of `text`, such as 1,500 or 三百; None when it has none or is too large to be read."""
    number = Decimal(text.replace(",", "")) if _DECIMAL.fullmatch(text) else _kanji_number(text)
    return number if number is not None and number <= _LARGEST else None


def number_reading(number: Decimal, counter: str = "") -> str | None:
    """Return how `number` is pronounced with `counter`; None when the counter does not change the sound."""
    whole = int(number)
    if not counter:
        return _whole_reading(whole) + _fraction_reading(number - whole)
    changed = _WITH_COUNTER.get(counter, {})
    if whole != number:
        return None
    if whole in changed:
        return changed[whole]
    ones = whole % 10
    if ones in _INHERITED.get(counter, ()):
        return _whole_reading(whole - ones) + changed[ones]
    if ones == 0 and 10 in changed and counter != "日" and whole % 100:
        return _whole_reading(whole).removesuffix("ジュー") + changed[10]
    return None


def _whole_reading(number: int) -> str:
    if number == 0:
        return _DIGITS[0]
    groups = []
    for unit in _MYRIADS:
        number, group = divmod(number, 10_000)
        if group:
            groups.append(_group_reading(group) + unit)
    return "".join(reversed(groups))


def _group_reading(group: int) -> str:
    """Return the reading of 1 to 9999."""
    thousands, hundreds, tens, ones = (group // 10**power % 10 for power in (3, 2, 1, 0))
    reading = _THOUSANDS.get(thousands, _DIGITS[thousands] + "セン") if thousands else ""
    reading += _HUNDREDS.get(hundreds, _DIGITS[hundreds] + "ヒャク") if hundreds else ""
    reading += (_DIGITS[tens] if tens > 1 else "") + "ジュー" if tens else ""
    return reading + (_DIGITS[ones] if ones else "")


def _fraction_reading(fraction: Decimal) -> str:
    digits = str(fraction).partition(".")[2]
    return "テン" + "".join(_DIGITS[int(digit)] for digit in digits) if digits else ""


def _kanji_number(text: str) -> Decimal | None:
    total = group = digit = 0
    for kanji in text:
        if kanji in _KANJI_DIGITS:
            digit = digit * 10 + _KANJI_DIGITS[kanji]  # 二〇二六 is written digit by digit
        elif kanji in _KANJI_UNITS:
            group, digit = group + (digit or 1) * _KANJI_UNITS[kanji], 0
        elif kanji in _KANJI_MYRIADS:
            total, group, digit = total + (group + digit or 1) * _KANJI_MYRIADS[kanji], 0, 0
        else:
            return None
    return Decimal(total + group + digit) if text else None
