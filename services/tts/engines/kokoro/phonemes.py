"""Text in the phonemes Kokoro was taught, sentence by sentence."""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from collections.abc import Collection, Sequence
from functools import cached_property

from phonemizer.backend import EspeakBackend  # type: ignore[import-untyped]

from services.tts.japanese import JapaneseReader

_PUNCTUATION = str.maketrans(
    {"，": ", ", "、": ", ", "。": ". ", "！": "! ", "？": "? ", "：": ": ", "；": "; ", "।": ". ", "॥": ". "}
)
"""Marks the phonemizer would drop, as those it keeps."""

_MANDARIN = (("s.", "ʂ"), ("i.", "ɨ"), ("ɜ", "↗"), ("2", "↓"))
"""espeak-ng's way of writing Mandarin's retroflexes, and the tones it can tell apart, in Kokoro's."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_SHORTEST = 20
"""Fewer phonemes than this in one go sound hurried."""


class Phonemes:
    """Writes texts in the phonemes of `alphabet`."""

    def __init__(self, alphabet: Collection[str]) -> None:
        self._alphabet = alphabet
        self._backends: dict[str, EspeakBackend] = {}
        self._lock = threading.Lock()  # espeak-ng's state is global
        self._log = logging.getLogger(__name__)
        self._log.setLevel(logging.ERROR)  # it warns where a word became two, as every number does

    def of(self, text: str, language: str) -> str:
        """Return the phonemes of `text`, with its punctuation; `language` is one of espeak-ng's."""
        with self._lock:
            readable = self._japanese.pronounced(text) if language == "ja" else text
            [phonemes] = self._backend(language).phonemize([readable.translate(_PUNCTUATION)], strip=True) or [""]
        if language == "cmn":
            for theirs, ours in _MANDARIN:
                phonemes = phonemes.replace(theirs, ours)
        return self.known(phonemes)

    def known(self, phonemes: str) -> str:
        """Return IPA as far as the alphabet knows it."""
        return " ".join("".join(self._known(letter) for letter in phonemes).split())

    def _known(self, letter: str) -> str:
        """Return what the alphabet has of `letter`: itself, or itself without diacritics, or nothing."""
        if letter in self._alphabet:
            return letter
        return "".join(part for part in unicodedata.normalize("NFD", letter) if part in self._alphabet)

    def _backend(self, language: str) -> EspeakBackend:
        if language not in self._backends:
            self._backends[language] = EspeakBackend(
                language,
                preserve_punctuation=True,
                with_stress=True,
                language_switch="remove-flags",
                logger=self._log,
            )
        return self._backends[language]

    @cached_property
    def _japanese(self) -> JapaneseReader:
        return JapaneseReader()


def sentences_of(phonemes: str) -> Sequence[str]:
    """Return the sentences of `phonemes`, the short ones together with the next."""
    sentences: list[str] = []
    for sentence in _SENTENCE_END.split(phonemes):
        if sentences and len(sentences[-1]) < _SHORTEST:
            sentences[-1] += f" {sentence}"
        else:
            sentences.append(sentence)
    if len(sentences) > 1 and len(sentences[-1]) < _SHORTEST:
        last = sentences.pop()
        sentences[-1] += f" {last}"
    return sentences
