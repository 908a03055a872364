"""How far an answer has come: the last word that was sent to be played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.speech import Mark


@dataclass
class Said:
    """The sentence that is being sent, and how much of it has been."""

    utterance_index: int = -1
    sentence_index: int = -1
    text: str = ""
    sent_s: float = 0.0
    """Sound sent of this sentence."""
    _words: tuple[Mark, ...] = ()

    def begin(self, index: int, text: str, utterance_index: int) -> None:
        """Say that another sentence begins."""
        self.utterance_index, self.sentence_index, self.text = utterance_index, index, text
        self.sent_s, self._words = 0.0, ()

    def add(self, marks: Sequence[Mark], until_s: float) -> None:
        """Say that the sound up to `until_s` of the sentence has been sent, and which words are known in it."""
        self._words += tuple(mark for mark in marks if mark.kind == "word")
        self.sent_s = until_s

    def told(self) -> dict[str, object]:
        """Return what a client is told of it; where no words are known, only the sentence."""
        if self.sentence_index < 0:
            return {"utterance_index": None, "sentence_index": None, "last_word": None}
        sent = [mark for mark in self._words if mark.start_s < self.sent_s]
        return {
            "utterance_index": self.utterance_index,
            "sentence_index": self.sentence_index,
            "sentence_text": self.text,
            "last_word": sent[-1].text if sent else None,
            "word_index": len(sent) - 1 if sent else None,
            "sent_ms": round(1000 * self.sent_s),
        }
