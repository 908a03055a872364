"""Tells whether a quotation, a bracket or an emphasis is still open, in whatever way a language writes them."""

from __future__ import annotations

import re

_LONGEST_HELD_CHARS = 240
"""What is longer counts as closed: it may never be."""

_OPENING = "([（《「『„‚“‘«»"
_CLOSING = {
    ")": "(",
    "]": "[",
    "）": "（",
    "》": "《",
    "」": "「",
    "』": "『",
    "“": "„",
    "”": "“„",
    "‘": "‚",
    "’": "‘‚",
    "»": "«»",
    "«": "»",
    '"': '"',
}
"""What each mark closes, where it is open; otherwise it may open: “English”, „deutsch“, »deutsch«, « français »."""

_NO_MARKS = re.compile(r"(?<=\w)[’‘](?=\w)|‘(?=\d)|[:;=][-^’']?[(\[]")
"""Apostrophes and faces."""


def is_open(text: str) -> bool:
    """Whether a quotation, a bracket or an emphasis is not closed yet; one that is very long counts as closed."""
    if len(text) > _LONGEST_HELD_CHARS:
        return False
    marks = _NO_MARKS.sub("", text)
    return bool(_left_open(marks)) or marks.count("**") % 2 == 1


def _left_open(text: str) -> list[str]:
    """Return the marks that are open at the end of `text`, the first one first."""
    opened: list[str] = []
    for before, letter in zip(f" {text}", text, strict=False):
        closes = _CLOSING.get(letter, "")
        at = max((place for place, mark in enumerate(opened) if mark in closes), default=None)
        if at is not None:
            del opened[at:]
        elif letter in _OPENING or (letter == '"' and not before.isdigit()):  # those are inches
            opened.append(letter)
    return opened
