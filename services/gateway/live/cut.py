"""Text that is taken back while it is spoken."""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

from services.gateway.ahead import Ahead


class Cut:
    """How much of a text is wanted: all of it, until it is cut after one of its flushes."""

    def __init__(self) -> None:
        self._flushes: float = math.inf
        self._sentences: WeakKeyDictionary[Ahead[Any], int] = WeakKeyDictionary()  # which forgets those that are over

    def after(self, flushes: int) -> None:
        """Stop all that was written after so many flushes, and have no more of it begun."""
        self._flushes = flushes
        for sentence, before in list(self._sentences.items()):
            if not self.wants(before):
                sentence.drop()

    def wants(self, flushes: int) -> bool:
        """Whether what was written after so many flushes is still wanted."""
        return flushes < self._flushes

    def begun(self, sentence: Ahead[Any], flushes: int) -> None:
        """Take note of a sentence that is spoken now, so many flushes after the beginning."""
        self._sentences[sentence] = flushes
        if not self.wants(flushes):
            sentence.drop()
