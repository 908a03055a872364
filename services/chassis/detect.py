"""Finds the language of a text."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

from py3langid.langid import MODEL_FILE, LanguageIdentifier

_HAN = re.compile("[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u30fc\uff66-\uff9f]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")

_LIKELY = {"en": 20.0, "de": 8.0, "es": 8.0, "fr": 8.0, "it": 8.0, "pt": 8.0, "ru": 8.0, "hi": 3.0}
_UNLIKELY = 0.05
_COMMON = """
    ar bg bn ca cs da el et fa fi gu he hr hu hy id is ja ka kk kn ko lt lv mk ml mr ms
    nb ne nl no pa pl ro si sk sl sq sr sv sw ta te th tr uk ur uz vi zh
"""
"""How likely a language is before the text is read: short texts say too little to choose among a hundred."""

_FOREIGN_LETTERS = {"en": re.compile(r"[^\W\d_a-zA-Z]"), "ru": re.compile("[іїєґўјљњћђќѓѕџ]", re.IGNORECASE)}
"""Letters that a language does not have."""

_SHORT_WORDS = {
    "de": "hallo ja nein danke bitte tschüss entschuldigung genau",
    "es": "hola sí gracias adiós buenas buenos noches tardes",
    "fr": "salut oui non merci bonjour bonsoir pardon",
    "it": "ciao grazie buongiorno buonasera come stai prego",
    "pt": "olá oi sim obrigado obrigada tchau bom dia boa noite tarde",
}
"""What texts too short for statistics are often made of."""


def count_scripts(text: str) -> dict[str, int]:
    """Return how many Han, kana and Hangul characters `text` holds."""
    return {name: len(script.findall(text)) for name, script in (("han", _HAN), ("kana", _KANA), ("hangul", _HANGUL))}


class LanguageDetector:
    """Tells languages apart by their script and letters."""

    def __init__(self, languages: Collection[str]) -> None:
        """Begin to load the model, for texts in `languages` (ISO 639-1 codes)."""
        self._languages = languages
        self._loading = _loading()

    def wait(self) -> None:
        """Return once the model is loaded, after a second at the most: until then, detecting may block as long."""
        self._loading.result()

    def detect(self, text: str) -> str:
        """Return the ISO 639-1 code of the language `text` is most likely written in."""
        return _by_script(text) or _by_words(text) or self._by_statistics(text)

    def _by_statistics(self, text: str) -> str:
        possible = [
            (language, probability * _prior(language))
            for language, probability in self._identifier.rank(text)
            if language not in _FOREIGN_LETTERS or not _FOREIGN_LETTERS[language].search(text)
        ]
        return str(max(possible, key=lambda pair: pair[1])[0])

    @functools.cached_property
    def _identifier(self) -> LanguageIdentifier:
        identifier = copy.copy(self._loading.result())
        identifier.set_languages(sorted(set(identifier.nb_classes) & set(self._languages)))
        return identifier


@functools.cache
def _loading() -> Future[LanguageIdentifier]:
    """Return the model that all detectors share."""
    # A second of work that most texts do without, and that nobody need wait for at the start.
    loader = ThreadPoolExecutor(1, thread_name_prefix="detector")
    model = loader.submit(LanguageIdentifier.from_model_file, MODEL_FILE, norm_probs=True)
    loader.shutdown(wait=False)
    return model


def _by_script(text: str) -> str | None:
    scripts = count_scripts(text)
    if sum(scripts.values()) * 2 <= sum(character.isalpha() for character in text):
        return None
    if scripts["hangul"] > scripts["han"] + scripts["kana"]:
        return "ko"
    return "ja" if scripts["kana"] else "zh"


def _by_words(text: str) -> str | None:
    words = set(re.findall(r"\w+", text.lower()))
    matching = [language for language, known in _SHORT_WORDS.items() if words and words <= set(known.split())]
    return matching[0] if len(matching) == 1 else None


def _prior(language: str) -> float:
    return _LIKELY.get(language, 1.0 if language in _COMMON.split() else _UNLIKELY)
