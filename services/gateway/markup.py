"""Takes Markdown's marks out of a text, because a voice would read them aloud."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n`]*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE)
_QUOTE = re.compile(r"^[ \t]*>+[ \t]+", re.MULTILINE)
_BLOCK = re.compile(r"^[ \t]*(?:#{1,6}|[-*+•])[ \t]+(?=\S)", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_EMPHASIS = tuple(
    re.compile(rf"(?<![A-Za-z0-9{mark}])({mark}{{1,3}})(?=\S)([^{mark}\n]+)(?<=\S)\1(?![A-Za-z0-9{mark}])")
    for mark in (r"\*", "_", "~", "`")
)
_DEEPEST_EMPHASIS = 3


def without_markup(text: str) -> str:
    """Return `text` without headings', lists', links' and emphasis' marks; headings and items become paragraphs.

    Marks that mean themselves stay: `2 * 3`, `snake_case`, `C#`.
    """
    for mark in (_FENCE, _RULE):
        text = mark.sub("\n", text)
    text = _LINK.sub(r"\1", _BLOCK.sub("\n", _QUOTE.sub("", text)))
    for _ in range(_DEEPEST_EMPHASIS):
        for mark in _EMPHASIS:
            text = mark.sub(r"\2", text)
    return text
