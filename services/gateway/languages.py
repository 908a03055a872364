"""Which language each sentence of a text is spoken in, when nobody said."""

from __future__ import annotations

import asyncio
import functools
import re
import unicodedata
from collections import Counter, defaultdict

from anyio import to_thread

from services.chassis.detect import LanguageDetector
from services.contract.languages import LANGUAGE_NAMES
from services.contract.speech import AUTO, is_auto

_TELLING_LETTERS = 16
"""A sentence of fewer letters says too little to settle the language of others."""

_MOST_TEXT_CHARS = 4_000
"""As much of a text as its language is told by."""

_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_EAST_ASIAN = "CJK"
_KANA_NAMES = ("HIRAGANA", "KATAKANA")


_NOT_WORDS = re.compile(r"[^\W_][.:/@]\w|[\d$€£¥₩₽%&@#+=°]|[\u2190-\U0001ffff]")
"""What is read in another way in each language; finding out which one it is takes a moment."""


class Languages:
    """Remembers which language each writing system of a text turned out to stand for.

    So short sentences do not flip between related languages, and a text in two scripts is spoken in
    two languages. A text with kana in it is Japanese wherever it is written in kanji.
    """

    def __init__(self, asked: str, text: str = "") -> None:
        self._asked = asked
        self._text = ""
        self._settled: dict[str, str] = {}
        self._spoken: dict[int, str] = {}
        self._settling: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._telling: dict[str, str] = {}
        """The first sentence in each writing that is long enough to tell its language."""
        self._behind = 0
        """All sentences before this one are spoken, or left out."""
        self.go_on(text)

    def go_on(self, text: str) -> None:
        """Take what the text goes on with."""
        self._text = f"{self._text} {text}"[-_MOST_TEXT_CHARS:]
        if _KANA.search(text):
            self._settled.setdefault(_EAST_ASIAN, "ja")

    async def ready(self) -> None:
        """Return once languages can be found out, if anybody has to."""
        if is_auto(self._asked):
            await to_thread.run_sync(detector().wait)

    async def in_turn(self, number: int, sentence: str) -> None:
        """Return when sentence `number` can be asked for.

        One whose language hangs on those before it waits for them: however many sentences of a text are
        spoken side by side, they are spoken in the same languages. One that tells the same language as the
        first that told any need not wait.
        """
        writing = _writing(sentence)
        if _is_telling(sentence):
            self._telling.setdefault(writing, sentence)
        while self._behind < number:
            if writing and (self.of(sentence) != AUTO or await self._tells_the_same(sentence, writing)):
                return
            await self._settling[self._behind].wait()

    async def _tells_the_same(self, sentence: str, writing: str) -> bool:
        """Whether a sentence is in the language that those before it will settle, as far as can be told."""
        first = self._telling.get(writing)
        if first is None or not _is_telling(sentence):
            return False
        detect = detector().detect
        return first == sentence or await to_thread.run_sync(lambda: detect(first) == detect(sentence))

    def of(self, sentence: str, number: int | None = None) -> str:
        """Return the language to ask for; Auto while it has to be found out."""
        if not is_auto(self._asked):
            return self._asked
        writing = _writing(sentence)
        if writing:
            return self._settled.get(writing, AUTO)
        # Numbers are read in the language of what stands before them.
        before = [earlier for earlier in self._spoken if number is None or earlier < number]
        return self._spoken[max(before)] if before else AUTO

    def reading(self, sentence: str, number: int | None = None) -> str:
        """Return the language whose numbers and signs `sentence` is read in. Blocking."""
        if (language := self.of(sentence, number)) != AUTO or not _NOT_WORDS.search(sentence):
            return language
        return detector().detect(self._text)

    def settle(self, sentence: str, language: str, number: int | None = None) -> None:
        """Say which language `sentence` was spoken in, the next one by default."""
        place = self._behind if number is None else number
        self._spoken[place] = language
        if _is_telling(sentence):
            self._settled.setdefault(_writing(sentence), language)
        self.leave(place)

    def leave(self, number: int) -> None:
        """Say that nobody need wait for sentence `number` any more, spoken or not."""
        if number < self._behind:
            return
        self._settling[number].set()
        while self._behind in self._settling and self._settling[self._behind].is_set():
            del self._settling[self._behind]
            self._behind += 1
        for earlier in sorted(self._spoken)[:-1]:
            if earlier < self._behind - 1:
                del self._spoken[earlier]


@functools.cache
def detector() -> LanguageDetector:
    """Return the gateway's detector; it loads from the first call on."""
    return LanguageDetector(LANGUAGE_NAMES)


def _is_telling(sentence: str) -> bool:
    return sum(map(str.isalpha, sentence)) >= _TELLING_LETTERS


def _writing(text: str) -> str:
    """Return the Unicode name of the script most letters of `text` belong to; empty where there are none."""
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0] for letter in text if letter.isalpha())
    script = max(scripts, key=scripts.__getitem__, default="")
    return _EAST_ASIAN if script in _KANA_NAMES else script
