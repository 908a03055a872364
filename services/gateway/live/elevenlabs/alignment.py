"""When each letter of a text is heard, as ElevenLabs tells it, from the times of the words.

Every alignment counts from where the last one ended, so that those of one text, laid end to end, are as
long as its sound. Sound may be sent before the words in it are known; their alignment follows with the next.
"""

from __future__ import annotations

import re

from services.contract.speech import Mark

_MOST_SKIPPED = 2
"""Written words that may stand for something else than the next spoken one: "$5 for" is "five dollars for"."""


class Track:
    """Letters and when they are heard, told piece by piece."""

    def __init__(self) -> None:
        self.end_s = 0.0
        """End of the last letter, in the sound of the whole text."""
        self._told_ms = 0
        self._letters: list[tuple[str, float, float]] = []

    def add(self, text: str, start_s: float, end_s: float) -> None:
        """Spread letters evenly over a time, which begins after those before them."""
        start_s = max(start_s, self.end_s)
        each_s = max(end_s - start_s, 0.0) / max(len(text), 1)
        for number, letter in enumerate(text):
            self._letters.append((letter, start_s + number * each_s, start_s + (number + 1) * each_s))
            self.end_s = self._letters[-1][2]

    def has(self, until_s: float) -> bool:
        """Whether there are letters that end by `until_s` and were not told yet."""
        return bool(self._letters) and self._letters[0][2] <= until_s

    def take(self, until_s: float) -> dict[str, object]:
        """Return the alignment of the letters that end by `until_s` and were not told yet; there must be some."""
        count = next((at for at, letter in enumerate(self._letters) if letter[2] > until_s), len(self._letters))
        letters, self._letters = self._letters[:count], self._letters[count:]
        starts = [round(1000 * start_s) for _, start_s, _ in letters]
        ends = [round(1000 * end_s) for _, _, end_s in letters]
        told: dict[str, object] = {
            "chars": [letter for letter, _, _ in letters],
            "charStartTimesMs": [start - self._told_ms for start in starts],
            "charDurationsMs": [end - start for start, end in zip(starts, ends, strict=True)],
        }
        self._told_ms = ends[-1]
        return told


class SentenceAlignment:
    """Lays the words of one sentence on two tracks: as it is written, and as it is spoken."""

    def __init__(self, text: str, written: Track, spoken: Track) -> None:
        self._text = text
        self._written = written
        self._spoken = spoken
        self._at = 0
        """Where in the text the next letter stands."""
        self._unplaced = 0
        self._begun = False

    def add(self, word: Mark) -> None:
        """Take the next word; its time counts in the sound of the whole text."""
        self._spoken.add(" " if self._begun else "", self._spoken.end_s, word.start_s)
        self._spoken.add(word.text, word.start_s, word.end_s)
        self._begun = True
        place = self._place(word.text)
        if place is None:
            self._unplaced += 1
            return
        self._written.add(self._text[self._at : place.start()], self._written.end_s, word.start_s)
        self._written.add(place.group(), word.start_s, word.end_s)
        self._at, self._unplaced = place.end(), 0

    def finish(self, end_s: float) -> None:
        """Say that the sentence ends at `end_s`: what is left of it was heard by then."""
        self._written.add(self._text[self._at :] + " ", self._written.end_s, end_s)
        self._spoken.add(" ", self._spoken.end_s, end_s)

    def break_off(self, end_s: float) -> None:
        """Say that the sentence breaks off at `end_s`: the rest of it was not heard."""
        for track in (self._written, self._spoken):
            track.add(" ", track.end_s, end_s)

    def _place(self, word: str) -> re.Match[str] | None:
        """Return where `word` is written next, unless that is too far away to be it."""
        for match in re.compile(re.escape(word), re.IGNORECASE).finditer(self._text, self._at):
            skipped = self._text[self._at : match.start()].split()
            if len(skipped) > _MOST_SKIPPED + self._unplaced:
                return None
            if match.group() and self._is_whole(match):
                return match
        return None

    def _is_whole(self, match: re.Match[str]) -> bool:
        """Whether this is a word, rather than a part of one; words of many scripts stand without spaces."""
        before = self._text[self._at : match.start()][-1:]
        last, after = match.group()[-1], self._text[match.end() :][:1]
        spaced = last.isdigit() or last.lower() != last.upper()
        return not before.isalnum() and not (spaced and after.isalnum())
