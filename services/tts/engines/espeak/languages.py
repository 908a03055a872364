"""The languages espeak-ng speaks, and the ways people call them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.contract.errors import InvalidRequest

_OWN_TAGS = {
    "ca-ba": "ca-x-balearic",
    "ca-nw": "ca-x-northwestern",
    "ca-va": "ca-valencia",
    "chr-US-Qaaa-x-west": "chr",
    "cmn": "zh",
    "cmn-latn-pinyin": "zh-Latn-pinyin",
    "en-gb-scotland": "en-GB-scotland",
    "en-us-nyc": "en-US-x-nyc",
    "fr-fr": "fr",
    "piqd": "tlh",
    "pt": "pt-PT",
    "py": "art-x-pyash",
    "ru-cl": "ru-x-classic",
}
"""BCP 47 tags of the voices that espeak-ng tags in its own way."""

_WITHOUT_DICTIONARY = ("fo", "kaa", "xex")
"""Listed by the library, which comes without what it needs to speak them."""

_ALIASES = {
    "bokmål": "nb",
    "burmese": "my",
    "cantonese": "yue",
    "cmn": "zh",
    "en": "en-US",
    "en-au": "en-GB",
    "en-ie": "en-GB",
    "en-in": "en-GB",
    "en-nz": "en-GB",
    "en-za": "en-GB",
    "es-es": "es",
    "farsi": "fa",
    "flemish": "nl",
    "in": "id",
    "irish": "ga",
    "iw": "he",
    "mandarin": "zh",
    "nn": "nb",
    "no": "nb",
    "norwegian": "nb",
    "pt": "pt-BR",
    "zh-cmn": "zh",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "zh-yue": "yue",
}
"""Other names and tags, in lower case. English and Portuguese mean the largest country that speaks them."""


class Languages:
    """Finds languages by name or tag; `voices` are tag, English name and voice file, as the library lists them."""

    def __init__(self, voices: Iterable[Sequence[str]]) -> None:
        self._files: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for own_tag, name, file in voices:
            if own_tag in _WITHOUT_DICTIONARY:
                continue
            tag = _OWN_TAGS.get(own_tag) or _in_canonical_case(own_tag)
            self._files.setdefault(tag, file)
            self._names.setdefault(name.strip().lower(), tag)
        self._tags = {tag.lower(): tag for tag in self._files}
        for name, tag in list(self._names.items()):
            general_name = name.split(" (")[0]
            self._names.setdefault(general_name, self._of_tag(tag.split("-")[0]) or tag)

    @property
    def tags(self) -> list[str]:
        """BCP 47 tags, in alphabetical order."""
        return sorted(self._files)

    def find(self, language: str) -> str:
        """Return the tag of `language`: an English name, or a tag of which the nearest is taken (RFC 4647 lookup).

        Raises `InvalidRequest` when there is none.
        """
        wanted = language.strip().lower().replace("_", "-")
        tag = self._names.get(wanted) or self._of_tag(wanted)
        if tag is None:
            raise InvalidRequest(
                f"language: {language!r} is not spoken here; use Auto, a name such as English or Japanese, "
                "or one of the tags that GET /v1/engine lists.",
                param="language",
            )
        return tag

    def speaks(self, tag: str) -> bool:
        """Whether `tag`, or a more general one, is spoken."""
        return self._of_tag(tag.lower()) is not None

    def voice_file(self, tag: str) -> str:
        """Return what espeak-ng calls the voice of `tag`, one of `tags`."""
        return self._files[tag]

    def _of_tag(self, wanted: str) -> str | None:
        while wanted:
            found = _ALIASES.get(wanted) or self._tags.get(wanted)
            if found is not None:
                return found
            if wanted.startswith("es-"):
                return self._tags.get("es-419")  # Spanish of any country but Spain
            wanted = wanted.rpartition("-")[0]
        return None


def _in_canonical_case(tag: str) -> str:
    """Return `tag` as RFC 5646 writes it: zh-Latn, pt-BR, en-GB-x-rp."""
    first, *rest = tag.split("-")
    private = rest.index("x") if "x" in rest else len(rest)
    cased = [_cased(part) for part in rest[:private]] + rest[private:]
    return "-".join([first.lower(), *cased])


def _cased(subtag: str) -> str:
    return {2: subtag.upper(), 4: subtag.title()}.get(len(subtag), subtag.lower())
