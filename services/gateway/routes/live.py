"""Speech and film while the text is still being written, over WebSockets."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, WebSocket

from services.contract.errors import InvalidRequest, Unavailable
from services.gateway.casting import Casting
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.live.audio import AudioPerformer
from services.gateway.live.messages import SpeechConfig, VideoConfig
from services.gateway.live.rest import Rest
from services.gateway.live.seats import Seats
from services.gateway.live.session import LiveSession
from services.gateway.live.socket import LiveSocket
from services.gateway.live.stage import Stage, StageEvent, Unit
from services.gateway.live.video import VideoPerformer
from services.gateway.live.webrtc.broadcast import Broadcast, Broadcasts
from services.gateway.llm import LanguageModel
from services.gateway.pipeline import FilmMaker
from services.gateway.settings import GatewaySettings
from services.gateway.voicing import manner_of


@dataclass(frozen=True)
class LiveParts:
    """What live sessions are made of."""

    tts: TtsClient
    copying: Copying
    casting: Casting
    films: FilmMaker | None
    """None where another server makes the films."""
    rest: Rest
    seats: Seats
    broadcasts: Broadcasts
    model: LanguageModel | None


def live_router(settings: GatewaySettings, parts: LiveParts) -> APIRouter:
    """Return the sockets that take text."""
    router = APIRouter(prefix="/v1", tags=["live"])

    @router.websocket("/audio/speech/stream")
    @router.websocket("/respond")
    async def speech(websocket: WebSocket) -> None:
        """Speak text as it is written, as vLLM-Omni does, or what a language model answers."""
        async with parts.seats.taken(websocket) as admitted:
            if not admitted:
                return
            socket = LiveSocket(websocket, settings.live_stalled_s)
            performer = AudioPerformer(socket, parts.tts, settings.live_sentences)

            async def configure(config: SpeechConfig) -> None:
                performer.configure(config, await manner_of(config, await parts.tts.engines(), parts.copying))

            await LiveSession(socket, performer, SpeechConfig, configure, settings.live_silence_s, parts.model).run()

    @router.websocket("/video/stream")
    async def video(websocket: WebSocket) -> None:
        """Show an avatar that speaks text as it is written, and rests between."""
        async with parts.seats.taken(websocket) as admitted:
            if not admitted:
                return
            with parts.broadcasts.open() as broadcast:
                await film(websocket, broadcast)

    async def film(websocket: WebSocket, broadcast: Broadcast) -> None:
        socket = LiveSocket(websocket, settings.live_stalled_s)

        def watch(event: StageEvent) -> None:
            broadcast.publish(event)
            if isinstance(event, Unit):
                parts.seats.shown(event.late_s)

        performer = VideoPerformer(socket, parts.tts, settings.live_sentences, watch)

        async def configure(config: VideoConfig) -> None:
            if performer.configured:
                raise InvalidRequest("session.config: the look of a film stays; connect again for another one.")
            if parts.films is None:
                raise Unavailable("A NewAvata server makes the films here; live ones need the avatar service.")
            cast = await parts.casting.cast_unwritten(config)
            stage = Stage(parts.films, parts.rest, cast.script, cast.look, idle=config.idle, lead_s=config.lead_s)
            if not config.idle:
                broadcast.end()  # who watches follows the clock, and this film does not
            await socket.send(broadcast.told())
            performer.configure(config, cast, stage)

        await LiveSession(socket, performer, VideoConfig, configure, settings.live_silence_s, parts.model).run()

    return router
