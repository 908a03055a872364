"""Which engines are to speak a wish, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from anyio import to_thread

from services.chassis.detect import LanguageDetector
from services.contract.errors import InvalidRequest, ServiceError
from services.contract.languages import LANGUAGE_NAMES, primary_tag
from services.contract.speech import AUTO, SpeechRequest
from services.tts.settings import EngineName, TtsSettings
from services.tts.speaker import Speaker
from services.tts.wishes import Wish


class Routing:
    """The routing table over the engines that run."""

    def __init__(self, settings: TtsSettings, speakers: Mapping[EngineName, Speaker]) -> None:
        self._settings = settings
        self._speakers = speakers

    async def tries(self, wish: Wish) -> list[tuple[EngineName, Wish]]:
        """Return who is to speak what, the first choice first; raises `InvalidRequest` where nobody can.

        Those that would speak in another voice come last: they are for when the voice's own engine fails.
        """
        if wish.request.engine not in ("", "auto"):
            return [(self._asked(wish.request.engine), wish)]
        names = await self._routed(wish.request)
        if wish.reference is not None:
            names = await self._cloning(names)
        elif wish.names_voice:
            owners = await self._owners(names, wish) or await self._owners(self._speakers, wish)
            others = [(name, wish.in_another_voice()) for name in self._settings.fallback]
            return [*((name, wish) for name in owners or names), *others]
        return [(name, wish) for name in names]

    async def language_of(self, text: str) -> str:
        """Return the tag of the language that `text` is most likely in."""
        return await to_thread.run_sync(self._detector.detect, text)

    def _asked(self, engine: str) -> EngineName:
        for name in self._speakers:
            if name == engine:
                return name
        raise InvalidRequest(
            f"engine: {engine!r} does not run here; {', '.join(self._speakers)} may be asked for.", param="engine"
        )

    async def _routed(self, request: SpeechRequest) -> list[EngineName]:
        settings = self._settings
        routed = settings.routes.get(await self._language(request), []) or [settings.engine]
        return list(dict.fromkeys([*routed, *settings.fallback]))

    async def _cloning(self, names: list[EngineName]) -> list[EngineName]:
        """Return those that copy voices: another voice than the one asked for is no way out."""
        able: list[EngineName] = []
        failure: ServiceError | None = None
        for name in names:
            try:
                able += [name] if (await self._speakers[name].engine()).cloning else []
            except ServiceError as error:
                failure = error
        if not able:
            raise failure or InvalidRequest(
                f"ref_audio: the {names[0]} engine cannot clone a voice; leave ref_audio and ref_text out, "
                "or run an engine that clones (TTS_ENGINE=qwen3).",
                param="ref_audio",
            )
        return able

    async def _owners(self, names: Iterable[EngineName], wish: Wish) -> list[EngineName]:
        """Return those that list the voice; an engine may take names that it does not list."""
        voice = wish.request.voice.lower()
        return [
            name for name in names if any(known.name.lower() == voice for known in await self._speakers[name].voices())
        ]

    async def _language(self, request: SpeechRequest) -> str:
        if not self._settings.routes:
            return ""
        if request.language.lower() != AUTO.lower():
            return primary_tag(request.language)
        return await self.language_of(request.text)

    @cached_property
    def _detector(self) -> LanguageDetector:
        return LanguageDetector(LANGUAGE_NAMES)
