"""Cuts text into pieces to be spoken one by one: sentences, the first one short, none too long."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import sentencex

from services.contract.languages import primary_tag
from services.contract.speech import is_auto
from services.gateway.languages import detector
from services.gateway.markup import without_markup

LONGEST_SENTENCE_CHARS = 400
"""Longer sentences are cut at a clause, or at a space where there is none."""

LONGEST_FIRST_CHARS = 90
"""The first piece is kept shorter, because the viewer waits for it."""

SHORTEST_CLAUSE_CHARS = 20
CLAUSE_END = re.compile(r"[,;:—–](?=\s)|[、，；：]|\s-(?=\s)")
_SPACE = re.compile(r"\s+")
_PARAGRAPH = re.compile(r"\n\s*\n")
_WORD = re.compile(r"[^\W_]")
_INITIAL = re.compile(r"(?:^|[\s(«„“\"'.-])[^\W\d_]\.$")
_TELLING_CHARS = 1_000
"""As much of a text as its language is told by."""

_MOST_ACCENTS = 16
"""Accents kept with their letter; more are no writing."""

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


def split_sentences(text: str, language: str, longest_chars: int = LONGEST_SENTENCE_CHARS) -> list[Sentence]:
    """Return the pieces of `text` in order; together they are every word of it, without Markdown's marks.

    `language` is a name or BCP 47 tag, or Auto; it only helps to know abbreviations. Blocking. Sentences longer
    than `longest_chars` are cut at the ends of clauses, those longer than 400 anywhere.
    """
    code = likely_language(text, language)
    paragraphs = [part for part in _PARAGRAPH.split(without_markup(text)) if has_words(part)]
    return [
        sentence
        for number, paragraph in enumerate(paragraphs)
        for sentence in _paragraph(paragraph, code, longest_chars, first=number == 0)
    ]


def _paragraph(text: str, code: str, longest_chars: int, *, first: bool) -> Iterator[Sentence]:
    sentences = [" ".join(part.split()) for part in _whole(sentencex.segment(code, text))]
    sentences = [sentence for sentence in sentences if has_words(sentence)]
    for number, sentence in enumerate(sentences):
        last = number == len(sentences) - 1
        first_chars = min(LONGEST_FIRST_CHARS, longest_chars) if first and number == 0 else longest_chars
        *clauses, end = filter(has_words, _clauses(sentence, first_chars, longest_chars))
        yield from (Sentence(clause, Pause.CLAUSE) for clause in clauses)
        yield Sentence(end, Pause.PARAGRAPH if last else Pause.SENTENCE)


def _whole(parts: Iterable[str]) -> Iterator[str]:
    """Yield sentences that the segmenter took apart after an initial together."""
    begun = ""
    for part in parts:
        begun += part
        if not is_initial(begun.rstrip()):
            yield begun
            begun = ""
    yield begun


def is_initial(text: str) -> bool:
    """Whether `text` ends with a letter that stands for a name, as in "M. Dupont", rather than with a sentence."""
    return _INITIAL.search(text) is not None


def _clauses(sentence: str, first_chars: int, longest_chars: int) -> Iterator[str]:
    while len(sentence) > first_chars:
        cut = cut_at(sentence, first_chars)
        yield sentence[:cut].rstrip()
        sentence = sentence[cut:].lstrip()
        first_chars = longest_chars
    if sentence:
        yield sentence


def cut_at(sentence: str, longest_chars: int) -> int:
    """Return where to cut: after a clause, else before a word, else between two characters."""
    head = sentence[: longest_chars + 1]
    clause_ends = [m.end() for m in CLAUSE_END.finditer(head) if SHORTEST_CLAUSE_CHARS <= m.end() <= longest_chars]
    if clause_ends:
        return clause_ends[-1]
    spaces = [m.start() for m in _SPACE.finditer(head) if m.start() > 0]
    if spaces and longest_chars == LONGEST_SENTENCE_CHARS:
        return spaces[-1]
    if longest_chars < LONGEST_SENTENCE_CHARS:
        # A sentence without a clause is worth waiting for: a cut in mid-phrase sounds wrong.
        return len(sentence) if len(sentence) <= LONGEST_SENTENCE_CHARS else cut_at(sentence, LONGEST_SENTENCE_CHARS)
    return _between_characters(sentence, longest_chars)


def _between_characters(sentence: str, at: int) -> int:
    for cut in range(at, at - _MOST_ACCENTS, -1):
        if not unicodedata.combining(sentence[cut]):
            return cut
    return at


def has_words(text: str) -> bool:
    """Whether `text` makes a sound: emoji, dashes and dots by themselves do not, and engines refuse them."""
    return _WORD.search(text) is not None


def likely_language(text: str, language: str, before: str = "") -> str:
    """Return the two-letter tag of the language `text` is in: by its script, else as `language` says, else en.

    Where that is Auto it is found out, by what stands `before` the text, too. Blocking while the detector loads.
    """
    if (code := language_of_script(text)) is not None:
        return code
    if is_auto(language):
        return detector().detect((before + text)[:_TELLING_CHARS])
    tag = primary_tag(language)
    return tag if len(tag) == 2 else "en"


def language_of_script(text: str) -> str | None:
    """Return the two-letter tag of the language whose letters are in `text`, where it alone has them."""
    return next((code for code, script in _SCRIPTS if script.search(text)), None)
