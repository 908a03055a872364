"""Cuts a text into sentences while it is being written.

Where it cuts hangs on the text alone, never on the pieces it came in. What follows an end decides whether it
was one ("3.14", "Dr. Who", "p.m. on"), so a sentence is known to be over with the first letter of the next
one, or when the writer pauses after something that is most likely an end.
"""

from __future__ import annotations

import re
from typing import Literal

import sentencex

from services.gateway.live.quotes import is_open
from services.gateway.markup import without_markup
from services.gateway.sentences import (
    CLAUSE_END,
    LONGEST_SENTENCE_CHARS,
    SHORTEST_CLAUSE_CHARS,
    Pause,
    Sentence,
    cut_at,
    has_words,
    is_initial,
    language_of_script,
    likely_language,
    split_sentences,
)

Granularity = Literal["sentence", "clause", "none"]
"""Cut at sentences, the first one at its first clause; at every clause; or only when all is there."""

_SHORTEST_EAST_ASIAN_CHARS = 8
"""As much speech as `SHORTEST_CLAUSE_CHARS` letters."""

_MOST_UNCUT_CHARS = 20_000
"""What is longer is cut, however much of it was to wait for its end."""

_PAUSED_S = 0.1
"""After so long without a letter, an end is taken for one: longer than between two tokens of an LLM."""

_PAUSED_IN_DOUBT_S = 1.0
"""The same after what often goes on without white space: numbers, addresses, names of files."""

_PAUSED_AFTER_SPACE_S = 0.003
"""The same where white space follows already: then all that could follow is the next word."""

_CLOSING = r"[\"'»«”“’‘)\]*_]*$"
_END = re.compile(r"[.!?…]+" + _CLOSING)
_FULL_STOP = "。！？｡"
_EAST_ASIAN_CLAUSE_ENDS = "、，；："
_DOUBTFUL = re.compile(r"(?:\d|\.\w+)\." + _CLOSING)
"""An end after a number, or after something with a full stop within: only the whole next word tells."""

_MAY_GO_ON = re.compile(r"(?:\d|[./:@_\\]\w\S*|\bwww)[.?!]" + _CLOSING)
"""An end of something that may go on with the next letter: only a long pause tells."""

_NUMBERED = re.compile(r"^\s*\d{1,3}[.)]$")
_EAST_ASIAN = ("zh", "ja")
_NO_LETTERS = re.compile(r"^[\W_]+")
_PROBE = "Anna"
"""Could follow a title as well as begin a sentence: what ends before it has come to an end."""

_NEXT_WORD_CHARS = 12

_TELLING_CHARS = 200
"""Of what came before, by which a language that nobody named is told."""


class SentenceStream:
    """The sentences of one text. `language` is a name or BCP 47 tag, or Auto."""

    def __init__(self, language: str, granularity: Granularity = "sentence") -> None:
        self._language = language
        self._granularity = granularity
        self._text = self._before = ""
        self._end: int | None = None
        """Where the text may have come to an end, which what follows decides."""
        self._first = True

    def feed(self, text: str) -> list[Sentence]:
        """Take the next piece of the text; return the sentences that are over."""
        if self._granularity == "none":
            self._text += text
            return self.flush() if len(self._text) > _MOST_UNCUT_CHARS else []
        return [sentence for letter in text for sentence in self._add(letter)]

    @property
    def settles_in_s(self) -> float | None:
        """How long nothing must follow until what is there is taken for a sentence; None while it is none."""
        written = self._text.rstrip()
        if self._granularity == "none" or not has_words(written) or is_open(written):
            return None
        if "\n" in self._text[len(written) :]:
            return _PAUSED_AFTER_SPACE_S
        if not _END.search(written) or is_initial(written) or not self._ends(written, _PROBE):
            return None
        if written != self._text:
            return _PAUSED_IN_DOUBT_S if _DOUBTFUL.search(written) else _PAUSED_AFTER_SPACE_S
        return _PAUSED_IN_DOUBT_S if _MAY_GO_ON.search(written) else _PAUSED_S

    def flush(self) -> list[Sentence]:
        """Return what is there, as if it had ended here."""
        if self._granularity == "none":
            text, self._text = self._text, ""
            return split_sentences(text, self._language)
        sentences: list[Sentence] = []
        if self._end is not None and self._ends(self._text[: self._end], self._text[self._end :].lstrip()):
            sentences = self._cut(self._end, Pause.SENTENCE)
        over = _END.search(self._text.rstrip()) is not None
        return sentences + self._cut(len(self._text), Pause.SENTENCE if over else Pause.CLAUSE)

    def _add(self, letter: str) -> list[Sentence]:
        self._text += letter
        if letter in _FULL_STOP and not is_open(self._text):
            return self._cut(len(self._text), Pause.SENTENCE)
        if len(self._text) > LONGEST_SENTENCE_CHARS:
            return self._cut(cut_at(self._text, LONGEST_SENTENCE_CHARS), Pause.CLAUSE)
        if self._end is not None:
            return self._decide()
        if letter.isspace():
            return self._on_space()
        return self._on_clause() if letter in _EAST_ASIAN_CLAUSE_ENDS else []

    def _on_space(self) -> list[Sentence]:
        """Remember an end that what follows may confirm."""
        written = self._text.rstrip()
        if _END.search(written):
            ended = not (_NUMBERED.match(written) or is_initial(written))
        else:
            ended = self._text.endswith("\n") and has_words(written)
        if ended and not is_open(written):
            self._end = len(written)
        elif CLAUSE_END.search(self._text, max(0, len(written) - 1)):
            return self._on_clause()
        return []

    def _on_clause(self) -> list[Sentence]:
        """Cut here, where clauses are wanted by themselves."""
        wanted = self._first or self._granularity == "clause"
        end = len(self._text.rstrip())
        if not wanted or is_open(self._text):
            return []
        shortest = SHORTEST_CLAUSE_CHARS
        if language_of_script(self._text) in _EAST_ASIAN:
            shortest = _SHORTEST_EAST_ASIAN_CHARS
        return self._cut(end, Pause.CLAUSE) if end >= shortest else []

    def _decide(self) -> list[Sentence]:
        """Cut at the end that is remembered, if what followed shows that it was one."""
        assert self._end is not None
        end, gap, word = self._end, *_followed(self._text[self._end :])
        if not word:
            return self._cut(end, Pause.PARAGRAPH) if gap.count("\n") > 1 else []
        if "\n" in gap:
            # Lines may be wrapped anywhere; a new thought begins like one.
            if not word[0].islower():
                return self._cut(end, Pause.SENTENCE)
        elif not self._is_told(end, word):
            return []
        elif self._ends(self._text[:end], _NO_LETTERS.sub("", word)):
            return self._cut(end, Pause.SENTENCE)
        self._end = None
        return self._on_space() if self._text[-1].isspace() else []

    def _is_told(self, end: int, word: str) -> bool:
        """Whether so much of the next word is known that it tells whether a sentence is over at `end`."""
        if len(word) >= _NEXT_WORD_CHARS or (self._text[-1].isspace() and has_words(word)):
            return True
        return word[-1].isalnum() and not _DOUBTFUL.search(self._text[:end])

    def _ends(self, before: str, following: str) -> bool:
        """Whether a sentence ends between the two."""
        before = before.rstrip("*_")
        text, at = f"{before} {following}", 0
        for part in sentencex.segment(likely_language(before, self._language, self._before), text):
            at += len(part)
            if len(text[:at].rstrip()) == len(before):
                return True
        return False

    def _cut(self, end: int, pause: Pause) -> list[Sentence]:
        """Return what stands before `end`, and go on with what stands after it."""
        piece, rest = self._text[:end], self._text[end:].lstrip()
        self._text, self._end = "", None
        self._before = "" if language_of_script(piece) else f"{self._before}{piece} "[-_TELLING_CHARS:]
        spoken = " ".join(without_markup(piece).split())
        sentences = [Sentence(spoken, pause)] if has_words(spoken) else []
        self._first = self._first and not sentences
        return sentences + [sentence for letter in rest for sentence in self._add(letter)]


def _followed(after: str) -> tuple[str, str]:
    """Return the white space and the beginning of the word that follow an end."""
    word = after.lstrip()
    return after[: len(after) - len(word)], word
