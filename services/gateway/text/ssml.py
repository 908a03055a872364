"""Reads a small part of SSML 1.1: text whose author says how it is to be spoken.

Elements: speak, p, s, break, prosody, emphasis, say-as, sub, phoneme, lang.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn
from xml.parsers import expat

from services.gateway.text.manners import emphasised, in_prosody, pause_of, refused
from services.gateway.text.saying import KINDS, said_as

DEEPEST = 20
MOST_SPANS = 1_000

_AFTER_S = {"s": 0.24, "p": 0.5}
"""The pause after a sentence and a paragraph, where no `<break>` says another."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
_SPACE = re.compile(r"\s+")
_LONGEST_PHONEMES = 500

_ATTRIBUTES = {
    "speak": {"xml:lang", "version", "xmlns"},
    "p": {"xml:lang"},
    "s": {"xml:lang"},
    "break": {"time", "strength"},
    "prosody": {"rate", "pitch"},
    "emphasis": {"level"},
    "say-as": {"interpret-as", "format"},
    "sub": {"alias"},
    "phoneme": {"alphabet", "ph"},
    "lang": {"xml:lang"},
}
_LEAVES = ("break", "say-as", "sub", "phoneme")


@dataclass(frozen=True)
class Span:
    """A stretch of text spoken in one manner."""

    text: str
    speed: float = 1.0
    pitch: float = 1.0
    pause_before_s: float = 0.0
    language: str = ""
    """BCP 47 tag; empty where the document does not say."""
    phonemes: str = ""
    """IPA to be spoken in place of the text."""
    as_is: bool = False
    """Whether the text is in words already and must not be normalised."""


def parse_ssml(text: str, language: str = "") -> list[Span]:
    """Return the spans of a document that begins with `<speak>`; a last one without text is a pause at the end.

    `language` is what the document is in where it does not say. Raises `InvalidRequest` for other
    elements, attributes and values, and for anything that declares a document type.
    """
    reader = _Reader(Span("", language=language))
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Entities of one's own can grow without end or read files; without a document type there are none.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.strip().encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise refused(f"The SSML is not well-formed ({error}); close every element, and write & as &amp;.") from None
    return reader.result()


def _refuse_doctype(*_declaration: object) -> NoReturn:
    raise refused("SSML with <!DOCTYPE> is not read; leave the declaration out.")


@dataclass(frozen=True)
class _Element:
    name: str
    manner: Span
    attributes: Mapping[str, str]
    held: list[str] = field(default_factory=list)
    """The text of an element that replaces it."""


class _Reader:
    """Turns the parser's events into spans."""

    def __init__(self, manner: Span) -> None:
        self._open = [_Element("", manner, {})]
        self._spans: list[Span] = []
        self._break_s: float | None = None
        self._breath_s = 0.0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        self._check(name, attributes)
        manner = self._open[-1].manner
        if "xml:lang" in attributes:
            manner = replace(manner, language=_language(name, attributes["xml:lang"]))
        if name == "prosody":
            speed, pitch = in_prosody(manner.speed, manner.pitch, attributes)
            manner = replace(manner, speed=speed, pitch=pitch)
        elif name == "emphasis":
            speed, pitch = emphasised(manner.speed, manner.pitch, attributes)
            manner = replace(manner, speed=speed, pitch=pitch)
        elif name == "break":
            self._break_s = (self._break_s or 0.0) + pause_of(attributes)
        self._open.append(_Element(name, manner, attributes))

    def text(self, text: str) -> None:
        """Take text of the innermost element."""
        element = self._open[-1]
        if element.name in _LEAVES:
            element.held.append(text)
        else:
            self._add(replace(element.manner, text=text))

    def end(self, name: str) -> None:
        """End the innermost element."""
        element = self._open.pop()
        if name in _AFTER_S:
            self._breath_s = max(self._breath_s, _AFTER_S[name])
        elif name in _LEAVES:
            self._add(_leaf(element))

    def result(self) -> list[Span]:
        """Return the spans; call it when the document has ended."""
        if self._break_s:
            self._spans.append(Span("", pause_before_s=self._break_s))
        return [replace(span, text=_SPACE.sub(" ", span.text).strip()) for span in self._spans]

    def _check(self, name: str, attributes: Mapping[str, str]) -> None:
        if name not in _ATTRIBUTES:
            raise refused(f"<{name[:40]}> is no element of the SSML read here; use {', '.join(_ATTRIBUTES)}.")
        parent = self._open[-1].name
        if (name == "speak") != (parent == ""):
            raise refused("<speak> has to be the outermost element, and only that.")
        if parent in _LEAVES:
            raise refused(f"<{parent}> holds no elements; take <{name}> out of it.")
        if len(self._open) > DEEPEST:
            raise refused(f"<{name}> is more than {DEEPEST} elements deep; nest fewer.")
        for attribute in attributes:
            if attribute not in _ATTRIBUTES[name] and not attribute.startswith(("xmlns:", "xsi:")):
                raise refused(f"<{name}> has no attribute {attribute[:40]} here; leave it out.")

    def _add(self, span: Span) -> None:
        """Add `span`, to the last one where they are spoken alike."""
        if not span.text.strip():
            if self._spans and self._break_s is None:
                self._spans[-1] = replace(self._spans[-1], text=self._spans[-1].text + span.text)
            return
        pause_s = self._breath_s if self._break_s is None else self._break_s
        parted = self._break_s is not None or self._breath_s > 0
        pause_s = pause_s if self._spans or self._break_s else 0.0
        self._break_s, self._breath_s = None, 0.0
        last = self._spans[-1] if self._spans else None
        if last and not parted and last == replace(span, text=last.text, pause_before_s=last.pause_before_s):
            self._spans[-1] = replace(last, text=last.text + span.text)
        elif len(self._spans) >= MOST_SPANS:
            raise refused(f"<speak> holds more than {MOST_SPANS} changes of manner; send it in parts.")
        else:
            self._spans.append(replace(span, pause_before_s=pause_s))


def _leaf(element: _Element) -> Span:
    """Return what is spoken in place of the element."""
    name, text = element.name, "".join(element.held)
    if name == "break":
        if text.strip():
            raise refused("<break> holds no text; write <break/>.")
        return element.manner
    if name == "sub":
        return replace(element.manner, text=_needed(element, "alias"))
    if name == "phoneme":
        return replace(element.manner, text=text, phonemes=_phonemes(element))
    kind = _needed(element, "interpret-as")
    if kind not in KINDS:
        raise refused(f"<say-as> cannot interpret as {kind[:40]}; use {', '.join(KINDS)}.")
    said = said_as(text, kind, element.attributes.get("format", ""), element.manner.language)
    return replace(element.manner, text=said, as_is=True)


def _phonemes(element: _Element) -> str:
    phonemes = _needed(element, "ph")
    if element.attributes.get("alphabet", "ipa") != "ipa":
        raise refused("<phoneme> is read in the alphabet ipa only.")
    if len(phonemes) > _LONGEST_PHONEMES:
        raise refused(f"<phoneme> has more than {_LONGEST_PHONEMES} characters in ph; mark single words.")
    return phonemes


def _needed(element: _Element, attribute: str) -> str:
    value = element.attributes.get(attribute, "").strip()
    if not value:
        raise refused(f"<{element.name}> needs the attribute {attribute}.")
    return value


def _language(name: str, tag: str) -> str:
    if not _LANGUAGE.fullmatch(tag):
        raise refused(f"<{name}> has an xml:lang that is no language tag; write one such as en or ko-KR.")
    return tag
