"""Cuts text into pieces to be spoken one by one: sentences, the first one short, none too long."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import sentencex

LONGEST_SENTENCE_CHARS = 400
"""Longer sentences are cut at a clause, or at a space where there is none."""

LONGEST_FIRST_CHARS = 90
"""The first piece is kept shorter, because the viewer waits for it."""

_SHORTEST_CLAUSE_CHARS = 20
_CLAUSE_END = re.compile(r"[,;:—–](?=\s)|[、，；：]|\s-(?=\s)")
_SPACE = re.compile(r"\s+")
_PARAGRAPH = re.compile(r"\s*\n\s*\n\s*")
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)


class Pause(Enum):
    """What follows a piece."""

    CLAUSE = "clause"
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"


@dataclass(frozen=True)
class Sentence:
    """A piece to be spoken at once, and the pause after it."""

    text: str
    pause: Pause


def split_sentences(text: str, language: str) -> list[Sentence]:
    """Return the pieces of `text` in order; joined by spaces they are the text, up to white space.

    `language` is a name or BCP 47 tag, or Auto; it only helps to know abbreviations.
    """
    code = _segmenter_code(text, language)
    return [
        sentence
        for number, paragraph in enumerate(_PARAGRAPH.split(text.strip()))
        for sentence in _paragraph(paragraph, code, first=number == 0)
    ]


def _paragraph(text: str, code: str, *, first: bool) -> Iterator[Sentence]:
    sentences = [" ".join(part.split()) for part in sentencex.segment(code, text)]
    sentences = [sentence for sentence in sentences if sentence]
    for number, sentence in enumerate(sentences):
        last = number == len(sentences) - 1
        longest = LONGEST_FIRST_CHARS if first and number == 0 else LONGEST_SENTENCE_CHARS
        *clauses, end = _clauses(sentence, longest)
        yield from (Sentence(clause, Pause.CLAUSE) for clause in clauses)
        yield Sentence(end, Pause.PARAGRAPH if last else Pause.SENTENCE)


def _clauses(sentence: str, longest_chars: int) -> Iterator[str]:
    while len(sentence) > longest_chars:
        cut = _cut(sentence, longest_chars)
        yield sentence[:cut].rstrip()
        sentence = sentence[cut:].lstrip()
        longest_chars = LONGEST_SENTENCE_CHARS
    yield sentence


def _cut(sentence: str, longest_chars: int) -> int:
    """Return where to cut: after a clause, else before a word, else between two characters."""
    head = sentence[: longest_chars + 1]
    clause_ends = [m.end() for m in _CLAUSE_END.finditer(head) if _SHORTEST_CLAUSE_CHARS <= m.end() <= longest_chars]
    if clause_ends:
        return clause_ends[-1]
    spaces = [m.start() for m in _SPACE.finditer(head) if m.start() > 0]
    if spaces and longest_chars == LONGEST_SENTENCE_CHARS:
        return spaces[-1]
    if longest_chars < LONGEST_SENTENCE_CHARS:
        # A first sentence without a clause is worth waiting for: a cut in mid-phrase sounds wrong.
        return len(sentence) if len(sentence) <= LONGEST_SENTENCE_CHARS else _cut(sentence, LONGEST_SENTENCE_CHARS)
    return _between_characters(sentence, longest_chars)


def _between_characters(sentence: str, at: int) -> int:
    while at > 1 and unicodedata.combining(sentence[at]):
        at -= 1
    return at


def _segmenter_code(text: str, language: str) -> str:
    for code, script in _SCRIPTS:
        if script.search(text):
            return code
    tag = language.split("-")[0].lower()
    return tag if len(tag) == 2 else "en"
