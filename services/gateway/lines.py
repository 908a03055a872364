"""A text as the lines that are spoken: sentences, clauses, or what SSML marks as spoken in another manner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import ValidationError

from services.chassis.problems import invalid_request_of
from services.contract.languages import primary_tag
from services.contract.speech import AUTO, Manner, SpeechRequest
from services.gateway.sentences import LONGEST_SENTENCE_CHARS, split_sentences
from services.gateway.text.normalise import normalised
from services.gateway.text.ssml import Span, parse_ssml
from services.gateway.utterance import PAUSE_S

_SSML = re.compile(r"\s*(<\?xml\b[^>]*\?>\s*)?<speak[\s>/]")


@dataclass(frozen=True)
class Line:
    """Something that is spoken in one go."""

    text: str
    pause_s: float
    """Silence after it."""
    lead_s: float = 0.0
    """Silence before it."""
    speed: float = 1.0
    pitch: float = 1.0
    language: str = ""
    """BCP 47 tag where the text says so itself."""
    phonemes: str = ""
    as_is: bool = False
    """Whether it is in words already."""

    def request(self, manner: Manner, language: str, reading: str) -> SpeechRequest:
        """Return what to ask of the tts service; numbers and the like are written out in the language `reading`.

        Raises `InvalidRequest` for a line that is too long to be spoken in one go.
        """
        spoken, reading = self.language or language, self.language or reading
        known = "" if reading.lower() == AUTO.lower() else primary_tag(reading)
        text = self.text if self.as_is else normalised(self.text, known) or self.text
        try:
            return SpeechRequest.of(manner.bent(self.speed, self.pitch), text, spoken, self.phonemes)
        except ValidationError as error:
            raise invalid_request_of(error.errors()) from error


def lines_of(
    text: str, language: str, *, split: bool = True, longest_chars: int = LONGEST_SENTENCE_CHARS
) -> list[Line]:
    """Return the lines of `text`, which may be an SSML document; `split` off makes one line of plain text.

    Longer sentences than `longest_chars` are cut at their clauses. Raises `InvalidRequest` for SSML
    that cannot be read.
    """
    if _SSML.match(text):
        spans = parse_ssml(text, "" if language.lower() == AUTO.lower() else primary_tag(language))
        return _lines_of_spans(spans, language, longest_chars)
    if not split:
        return [Line(text.strip(), 0.0)] if text.strip() else []
    return [Line(sentence.text, PAUSE_S[sentence.pause]) for sentence in split_sentences(text, language, longest_chars)]


def _lines_of_spans(spans: list[Span], language: str, longest_chars: int) -> list[Line]:
    lines: list[Line] = []
    lead_s = 0.0
    for span in spans:
        found = list(_lines_of_span(span, language, longest_chars))
        if lines:
            lines[-1] = replace(lines[-1], pause_s=span.pause_before_s)
        else:
            lead_s += span.pause_before_s
        if found and not lines:
            found[0] = replace(found[0], lead_s=lead_s)
        lines += found
    return lines


def _lines_of_span(span: Span, language: str, longest_chars: int) -> Iterator[Line]:
    like = Line("", 0.0, 0.0, span.speed, span.pitch, span.language, span.phonemes, span.as_is)
    if span.as_is or span.phonemes:
        yield replace(like, text=span.text)
        return
    for sentence in split_sentences(span.text, span.language or language, longest_chars):
        yield replace(like, text=sentence.text, pause_s=PAUSE_S[sentence.pause])
