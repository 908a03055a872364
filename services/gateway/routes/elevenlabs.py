"""The sockets that ElevenLabs' clients speak to."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from services.contract.errors import NotFound, ServiceError
from services.contract.speech import Manner, is_gender
from services.gateway.clients import TtsClient
from services.gateway.live.elevenlabs.connection import Connection, send_away
from services.gateway.live.elevenlabs.context import Voicing
from services.gateway.live.elevenlabs.formats import output_of
from services.gateway.live.elevenlabs.messages import Wishes
from services.gateway.live.elevenlabs.multi import MultiStreamInput
from services.gateway.live.elevenlabs.single import StreamInput
from services.gateway.live.seats import Seats
from services.gateway.live.socket import LiveSocket
from services.gateway.settings import GatewaySettings
from services.gateway.voicing import voice_of


def elevenlabs_router(settings: GatewaySettings, tts: TtsClient, seats: Seats) -> APIRouter:
    """Return the sockets that speak as ElevenLabs' do."""
    router = APIRouter(prefix="/v1/text-to-speech", tags=["live"])

    @router.websocket("/{voice_id}/stream-input")
    async def stream_input(websocket: WebSocket, voice_id: str) -> None:
        """Speak one text as it is written."""
        await serve(websocket, voice_id, StreamInput)

    @router.websocket("/{voice_id}/multi-stream-input")
    async def multi_stream_input(websocket: WebSocket, voice_id: str) -> None:
        """Speak several texts as they are written, side by side."""
        await serve(websocket, voice_id, MultiStreamInput)

    async def serve(websocket: WebSocket, voice_id: str, kind: type[Connection]) -> None:
        async with seats.taken(websocket) as admitted:
            if not admitted:
                return
            socket = LiveSocket(websocket, settings.live_stalled_s)
            try:
                wishes = Wishes.of(websocket.query_params)
                voicing = await voicing_of(wishes, voice_id, tts, settings.live_sentences)
            except ServiceError as error:
                await send_away(socket, error)
                return
            await kind(socket, tts, voicing, wishes.inactivity_timeout).run()

    return router


async def voicing_of(wishes: Wishes, voice_id: str, tts: TtsClient, at_once: int) -> Voicing:
    """Return how texts are spoken that are wished for so; raises `InvalidRequest` or `NotFound`."""
    output = output_of(wishes.output_format)
    engine = wishes.model_id if wishes.model_id in [known.engine for known in await tts.engines()] else ""
    manner = Manner(voice=await _known_voice(voice_id, tts), engine=engine, seed=wishes.seed)
    return Voicing(manner, wishes.language_code, output, at_once, wishes.auto_mode, wishes.sync_alignment)


async def _known_voice(voice_id: str, tts: TtsClient) -> str:
    engines = await tts.engines()
    voice = voice_of(voice_id, engines)
    named = {known.name for engine in engines for known in engine.voices}
    if voice != voice_id or voice in named or is_gender(voice):
        return voice
    for stored in await tts.stored_voices():
        if voice_id.lower() in (stored.name.lower(), stored.id.lower()):
            return stored.name
    raise NotFound(f"A voice {voice_id!r} was not found; GET /v1/audio/voices lists those there are.", param="voice_id")
