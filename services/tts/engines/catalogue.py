"""Voices that each speak one language: finds the one a request means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.chassis.detect import LanguageDetector
from services.contract.errors import InvalidRequest
from services.contract.languages import LANGUAGE_NAMES
from services.contract.speech import SpeechRequest, Voice, is_auto, is_gender
from services.tts.engine import Utterance
from services.tts.engines.genders import by_gender
from services.tts.text import check_script, speakable

_ALIASES = {"cmn": "zh", "nb": "no", "nn": "no", "iw": "he"}
"""Primary tags that mean the same here."""


class Catalogue:
    """The voices of an engine. The first one of each language is its default."""

    def __init__(self, voices: Sequence[Voice], names: Mapping[str, str], *, default: str = "") -> None:
        """`names` are the languages' English names by tag; `default` names the voice for when nothing is asked."""
        self.voices = list(voices)
        self.languages = list(dict.fromkeys(voice.language for voice in self.voices))
        self._by_name = {voice.name.lower(): voice for voice in self.voices}
        self._names = names
        self.default = self.named(default) if default else self.voices[0]
        # The common languages are told apart as well: better refuse German than read it in English.
        self._detector = LanguageDetector({_primary(tag) for tag in self.languages} | set(LANGUAGE_NAMES))

    def named(self, name: str) -> Voice:
        """Return the voice; raise `InvalidRequest` when there is none of that name."""
        voice = self._by_name.get(name.strip().lower())
        if voice is None:
            examples = ", ".join(voice.name for voice in self.voices[:5])
            raise InvalidRequest(
                f"voice: there is no voice {name!r}; GET /v1/engine lists the voices, such as {examples}.",
                param="voice",
            )
        return voice

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle voice and language; Auto is the language of the voice if one is asked for, else the text's."""
        text = speakable(request.text)
        asked = self.named(request.voice) if request.voice.strip() and not is_gender(request.voice) else None
        if not is_auto(request.language):
            language = self._language(request.language)
        else:
            language = asked.language if asked else self._language(self._detector.detect(text))
        voice, notices = (asked, list[str]()) if asked else self._chosen(request.voice.strip(), language)
        if _primary(voice.language) != _primary(language):
            raise InvalidRequest(f"voice: {voice.name} speaks {voice.language}, not {language}.", param="voice")
        check_script(text, voice.language)
        return Utterance(text, voice.name, voice.language, request.speed, request.pitch, notices=tuple(notices))

    def _chosen(self, gender: str, language: str) -> tuple[Voice, list[str]]:
        """Return the voice for a gender, of another country if need be, and what to tell; the default one for none."""
        usual = self._default_of(language)
        if not gender:
            return usual, []
        speaking = [one for one in (usual, *self.voices) if _primary(one.language) == _primary(language)]
        name, notices = by_gender(speaking, gender, usual.name, language)
        return self.named(name), notices

    def _default_of(self, language: str) -> Voice:
        """Return the engine's default voice if it speaks nearly that, else the first one that speaks exactly that."""
        if self.default.language == language:
            return self.default
        return next(voice for voice in self.voices if voice.language == language)

    def _language(self, asked: str) -> str:
        """Return the tag of a name or tag: the nearest spoken one, whose country may be another."""
        wanted = asked.strip().lower().replace("_", "-")
        for tag in self.languages:
            if wanted == tag.lower():
                return tag
        for tag in sorted(self.languages, key=lambda tag: tag != self.default.language):
            if wanted == self._names.get(tag, "").lower() or _primary(wanted) == _primary(tag):
                return tag
        spoken = ", ".join(self.languages)
        raise InvalidRequest(f"language: no voice here speaks {asked!r}; they speak {spoken}.", param="language")


def _primary(tag: str) -> str:
    primary = tag.lower().split("-")[0]
    return _ALIASES.get(primary, primary)
