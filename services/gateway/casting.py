"""Settles who speaks and what they look like, before any work is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.contract.errors import InvalidRequest, NotFound, TooLarge, Unavailable
from services.contract.speech import ENGINE_HEADER, VOICE_HEADER, SpeechEngineInfo
from services.contract.video import AvatarInfo
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.pipeline import Script
from services.gateway.requests import VideoAsk, VideoRequest
from services.gateway.settings import GatewaySettings

NOTICE_HEADER = "X-Talkie-Notice"
"""Says what of the request had no effect, and why."""

AVATAR_HEADER = "X-Talkie-Avatar"
MODEL_SIZES = ("0.6b", "1.7b")


@dataclass(frozen=True)
class Cast:
    """A script ready to be filmed, and what the answer's headers tell about it."""

    script: Script
    headers: dict[str, str] = field(default_factory=dict)


class Casting:
    """Turns what clients ask for into scripts."""

    def __init__(self, settings: GatewaySettings, tts: TtsClient, avatar: AvatarClient) -> None:
        self._settings = settings
        self._tts = tts
        self._avatar = avatar

    async def cast(self, ask: VideoAsk) -> Cast:
        """Return the script `ask` describes.

        Raises `Unavailable` when video is off, `TooLarge`, `NotFound` or `InvalidRequest` otherwise.
        """
        request = ask.request
        self.check_video()
        check_text(request.text, self._settings.max_text_chars)
        engine = await self._tts.engine()
        _check_engine(request.tts_engine, engine)
        _check_cloning(ask, engine)
        avatar = await self._actor(ask)
        width, height = request.frame_size
        script = Script(
            text=request.text,
            avatar=avatar.name,
            voice=request.voice_name or _voice_of(avatar, engine),
            language=request.language,
            speed=request.speed,
            pitch=request.pitch,
            fps=request.fps,
            width=width,
            height=height,
        )
        headers = {
            ENGINE_HEADER: engine.engine,
            VOICE_HEADER: script.voice or engine.default_voice,
            AVATAR_HEADER: avatar.name,
        }
        if notices := [*_size_notice(request, engine), *avatar.warnings]:
            headers[NOTICE_HEADER] = " ".join(notices)
        return Cast(script, headers)

    def check_video(self) -> None:
        """Raise `Unavailable` when video is off."""
        if not self._settings.enable_video:
            raise Unavailable("Video is switched off here (ENABLE_VIDEO=false); speech works at /v1/audio/speech.")

    async def _actor(self, ask: VideoAsk) -> AvatarInfo:
        if ask.avatar_image is not None:
            if ask.request.avatar_name:
                raise InvalidRequest("Send either avatar or avatar_image, not both.", param="avatar_image")
            return await self._avatar.add_avatar(ask.avatar_image, keep=False)
        avatars = {info.name: info for info in await self._avatar.avatars()}
        name = ask.request.avatar_name or self._settings.default_avatar or next(iter(avatars), "")
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


def _check_engine(name: str, engine: SpeechEngineInfo) -> None:
    if name not in ("", "auto", engine.engine):
        raise InvalidRequest(
            f"tts_engine: {name} does not run here; {engine.engine} does (TTS_ENGINE chooses).", param="tts_engine"
        )


def _check_cloning(ask: VideoAsk, engine: SpeechEngineInfo) -> None:
    reference = ask.ref_audio is not None or ask.request.ref_audio or ask.request.ref_text
    if reference and not engine.cloning:
        raise InvalidRequest(
            f"ref_audio: the {engine.engine} engine cannot clone a voice; leave ref_audio and ref_text out, "
            "or run an engine that clones (TTS_ENGINE=qwen3).",
            param="ref_audio",
        )


def _size_notice(request: VideoRequest, engine: SpeechEngineInfo) -> list[str]:
    if not request.model_size:
        return []
    if request.model_size.lower() not in MODEL_SIZES:
        raise InvalidRequest(f"model_size: must be one of {', '.join(MODEL_SIZES)}.", param="model_size")
    return [f"model_size has no effect: the {engine.engine} engine has one size."]


def _voice_of(avatar: AvatarInfo, engine: SpeechEngineInfo) -> str:
    names = {voice.name for voice in engine.voices}
    return avatar.voice if avatar.voice in names else ""
