"""Settles who speaks and what they look like, before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.contract.errors import InvalidRequest, NotFound, TooLarge, Unavailable
from services.contract.speech import Manner, ModelSize, SpeechEngineInfo, is_gender
from services.contract.video import AvatarInfo
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.copying import Copying
from services.gateway.requests import FilmFields, VideoAsk
from services.gateway.script import Scene, Script
from services.gateway.settings import GatewaySettings

AVATAR_HEADER = "X-Talkie-Avatar"


@dataclass(frozen=True)
class Cast:
    """A script ready to be filmed, and what the answer is to tell about it."""

    script: Script
    headers: dict[str, str]
    notices: tuple[str, ...] = ()
    seen: str = ""
    """What the film shows, beside what the script says; empty for what belongs to somebody."""
    look: str = ""
    """Changes with everything that is seen of the avatar."""


class Casting:
    """Turns what clients ask for into scripts."""

    def __init__(self, settings: GatewaySettings, tts: TtsClient, avatar: AvatarClient, copying: Copying) -> None:
        self._settings = settings
        self._copying = copying
        self._tts = tts
        self._avatar = avatar

    async def cast(self, ask: VideoAsk) -> Cast:
        """Return the script `ask` describes.

        Raises `Unavailable` when video is off, `TooLarge`, `NotFound` or `InvalidRequest` otherwise.
        """
        self.check_text(ask.request.text)
        return await self._cast(ask.request, ask.request.text, ask.ref_audio, ask.avatar_image)

    async def cast_unwritten(self, fields: FilmFields) -> Cast:
        """Return a script whose text is yet to be written; raises what `cast` raises."""
        return await self._cast(fields, "", None, None)

    async def _cast(self, fields: FilmFields, text: str, ref_audio: bytes | None, avatar_image: bytes | None) -> Cast:
        self.check_video()
        engines = await self._tts.engines()
        manner = Manner(
            voice=fields.voice_name,
            speed=fields.speed,
            pitch=fields.pitch,
            engine=engine_named(fields.tts_engine, engines),
            model_size=size_of(fields.model_size),
            instruct=fields.instructions,
            seed=fields.seed,
        )
        manner = await self._copying.manner(manner, ref_audio or fields.ref_audio, fields.ref_text)
        avatar = await self._actor(fields, avatar_image)
        if not (manner.voice or manner.reference):
            manner = manner.model_copy(update={"voice": avatar.voice or ""})
        width, height = fields.frame_size
        script = Script(
            scenes=(Scene(text, avatar.name, manner),),
            language=fields.language,
            fps=fields.fps,
            width=width,
            height=height,
            frame_skip=fields.frame_skip,
            use_cache=fields.use_cache,
        )
        look = f"{avatar.digest} {await self._avatar.revision()}"
        seen = self._seen(script, avatar, engines, look)
        return Cast(script, {AVATAR_HEADER: avatar.name}, tuple(avatar.warnings), seen, look)

    def check_video(self) -> None:
        """Raise `Unavailable` when video is off."""
        if not self._settings.enable_video:
            raise Unavailable("Video is switched off here (ENABLE_VIDEO=false); speech works at /v1/audio/speech.")

    def check_text(self, text: str) -> None:
        """Raise `TooLarge` for a text that is too long, `InvalidRequest` for one without content."""
        check_text(text, self._settings.max_text_chars)

    @staticmethod
    def _seen(script: Script, avatar: AvatarInfo, engines: Sequence[SpeechEngineInfo], look: str) -> str:
        [scene] = script.scenes
        if not avatar.digest or scene.manner.reference or not is_built_in(scene.manner.voice, engines):
            return ""
        return f"{look} {revisions(engines)}"

    async def _actor(self, fields: FilmFields, avatar_image: bytes | None) -> AvatarInfo:
        if avatar_image is not None:
            if fields.avatar_name:
                raise InvalidRequest("Send either avatar or avatar_image, not both.", param="avatar_image")
            return await self._avatar.add_avatar(avatar_image, keep=False)
        avatars = {info.name: info for info in await self._avatar.avatars()}
        name = fields.avatar_name or self._settings.default_avatar or next(iter(avatars), "")
        if name in avatars:
            return avatars[name]
        # Old clients name the picture file of a folder's avatar.
        stem = name.rpartition(".")[0]
        if stem in avatars:
            return avatars[stem]
        raise NotFound(f"There is no avatar {name!r}; GET /video/avatars lists them.", param="avatar")


def check_text(text: str, most_chars: int) -> None:
    """Raise `TooLarge` for a text that is too long, `InvalidRequest` for one without content."""
    if len(text) > most_chars:
        raise TooLarge(
            f"text: {len(text)} characters are more than {most_chars}; send it in parts, "
            "or raise GATEWAY_MAX_TEXT_CHARS.",
            param="text",
        )
    if not text.strip():
        raise InvalidRequest("text: there is nothing to say; send at least one word.", param="text")


def is_built_in(voice: str, engines: Sequence[SpeechEngineInfo]) -> bool:
    """Whether a voice is nobody's: one of an engine, not copied from a person, as any that is not named may be."""
    if voice and not is_gender(voice):
        return any(voice == known.name for engine in engines for known in engine.voices)
    return not any(engine.cloning for engine in engines)


def revisions(engines: Sequence[SpeechEngineInfo]) -> str:
    """Return what changes whenever the same text may be spoken in another way."""
    return " ".join(f"{engine.engine} {engine.revision} {engine.default_voice}" for engine in engines)


def engine_named(name: str, engines: Sequence[SpeechEngineInfo]) -> str:
    """Return the engine a client asked for; empty where it leaves the choice. Raises `InvalidRequest`."""
    if name in ("", "auto"):
        return ""
    if name not in (known := [engine.engine for engine in engines]):
        raise InvalidRequest(
            f"tts_engine: {name} does not run here; {', '.join(known)} does (TTS_ENGINE chooses).", param="tts_engine"
        )
    return name


def size_of(asked: str) -> ModelSize:
    """Return the model size a client asked for, in any case; raises `InvalidRequest`."""
    size = asked.strip().lower()
    if size == "":
        return ""
    if size == "0.6b":
        return "0.6b"
    if size == "1.7b":
        return "1.7b"
    raise InvalidRequest(f"model_size: must be 0.6b or 1.7b, not {asked!r}.", param="model_size")
