"""What a language calls numbers, units, money and dates; one file of `locales/` for each language."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from unicode_rbnf import RbnfEngine
from unicode_rbnf.engine import RbnfError
from unicode_rbnf.plural_rules import get_plural_category

LANGUAGES = ("en", "zh", "ja", "ko", "de", "fr", "ru", "pt", "es", "it")
"""Languages there is a file for."""

LETTER = r"[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
"""A letter of a script that puts spaces between words: `MP3` is a word, `3月` is a number and a word."""

START = rf"(?<!{LETTER})(?<![\d_.,:/+-])"
"""Where a number may begin that is no part of a longer name or number."""

END = rf"(?!\d|_|{LETTER})"

_FOLDER = Path(__file__).parent / "locales"
_LONGEST_NUMBER_DIGITS = 15
"""Longer ones are no quantities; they are read digit by digit."""

_FORMS = {"one": 0, "few": 1, "other": 1, "many": 2}


@dataclass(frozen=True)
class Noun:
    """What is counted: the rule its number is read by, and its forms or, with `{}`, its place around the number."""

    rule: str
    forms: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Noun:
        """Read `f hour|hours`; the letter may be missing."""
        rule, _, forms = text.partition(" ") if re.match(r"[a-z] ", text) else ("number", "", text)
        return cls(rule, tuple(forms.split("|")))


@dataclass(frozen=True, eq=False)
class Locale:
    """One language's tables, and its way to say a number."""

    language: str
    tables: Mapping[str, Mapping[str, str]]
    engine: RbnfEngine

    @property
    def joined(self) -> bool:
        """Whether words are written without spaces between them."""
        return "joined" in self.tables["words"]

    def word(self, name: str, default: str = "") -> str:
        """Return an entry of `[words]`."""
        return self.tables["words"].get(name, default)

    def table(self, name: str) -> Mapping[str, str]:
        """Return a table; empty where the language has no use for it."""
        return self.tables.get(name, {})

    def cardinal(self, digits: str, rule: str = "number") -> str:
        """Return the words for a whole number; `rule` is a name of `[rules]` or one of the library's."""
        name = self.table("rules").get(rule) or (rule if "-" in rule else self.table("rules")["number"])
        if name == "digits" or len(digits) > _LONGEST_NUMBER_DIGITS:
            return self.digits(digits)
        for known in (name, self.table("rules")["number"]):
            try:
                return self.engine.format_number(int(digits), ruleset_names=[known]).text
            except RbnfError:  # CLDR's ordinals end somewhere
                continue
        return self.digits(digits)

    def digits(self, digits: str, table: str = "0123456789") -> str:
        """Return the words for digits read one by one."""
        names = self.table("digits").get(table) or self.table("digits").get("0123456789")
        words = names.split() if names else [self.cardinal(digit) for digit in "0123456789"]
        return ("" if names else " ").join(words[int(digit)] for digit in digits)

    def form(self, noun: Noun, number: Decimal) -> str:
        """Return the noun as it stands after `number`."""
        category = get_plural_category(self.language, number)
        return noun.forms[min(_FORMS.get(category, 1), len(noun.forms) - 1)]


def locale_of(language: str) -> Locale | None:
    """Return the tables of a BCP 47 tag's language; None for one without."""
    code = re.split("[-_]", language.strip().lower())[0]
    return _load(code) if code in LANGUAGES else None


def any_of(words: Iterable[str]) -> str:
    """Return a pattern that matches the longest of `words`; nothing where there are none."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or "(?!)"


@functools.cache
def _load(code: str) -> Locale:
    tables: dict[str, dict[str, str]] = {}
    for line in (_FOLDER / f"{code}.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            table = tables.setdefault(line.strip("[]"), {})
        elif " = " in f"{line} ":
            keys, _, value = f"{line} ".partition(" = ")
            # A pattern or a template may hold commas, a list of names does not.
            table.update({key.strip(): value.strip() for key in keys.split(", ")})
    return Locale(code, tables, RbnfEngine.for_language(code))
