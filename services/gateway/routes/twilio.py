"""Speech into telephone calls: where Twilio connects to, and where applications say what to speak."""

from __future__ import annotations

from contextlib import ExitStack

from fastapi import APIRouter, WebSocket

from services.chassis.problems import problem_response
from services.contract.errors import ServiceError
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.live.pages import Pages
from services.gateway.live.seats import Seats
from services.gateway.live.session import LiveSession
from services.gateway.live.socket import LiveSocket
from services.gateway.live.twilio.call import Call
from services.gateway.live.twilio.calls import Calls
from services.gateway.live.twilio.greeting import greet
from services.gateway.live.twilio.messages import CallConfig
from services.gateway.live.twilio.performer import CallPerformer
from services.gateway.live.twilio.signature import check_signature
from services.gateway.live.twilio.stream import TwilioStream
from services.gateway.settings import GatewaySettings
from services.gateway.voicing import manner_of


def twilio_router(settings: GatewaySettings, tts: TtsClient, copying: Copying, seats: Seats, pages: Pages) -> APIRouter:
    """Return both sockets of telephone calls. A call takes a seat; the application that speaks in it takes none."""
    calls = Calls()
    router = APIRouter(prefix="/v1/twilio", tags=["live"])

    async def greeted(call: Call) -> None:
        await greet(call, tts, copying, settings.live_sentences)

    @router.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        """Take a call that Twilio's <Connect><Stream> brings."""
        try:
            if settings.twilio_auth_token:
                signature = websocket.headers.get("X-Twilio-Signature", "")
                bases = (settings.public_url, f"wss://{websocket.headers.get('Host', '')}")
                check_signature(settings.twilio_auth_token, signature, websocket.url.path, *filter(None, bases))
        except ServiceError as error:
            await websocket.send_denial_response(problem_response(error, websocket.url.path))
            return
        async with seats.taken(websocket) as admitted:
            if admitted:
                socket = LiveSocket(websocket, settings.live_stalled_s)
                await TwilioStream(socket, calls, greeted, settings.live_silence_s).run()

    @router.websocket("/streams/{name}")
    async def application(websocket: WebSocket, name: str) -> None:
        """Speak in a call, with the messages of /v1/audio/speech/stream."""
        with ExitStack() as leaving:
            try:
                pages.check(websocket)
                call = calls.find(name)
                events = leaving.enter_context(call.followed())
            except ServiceError as error:
                await websocket.send_denial_response(problem_response(error, websocket.url.path))
                return
            await websocket.accept()
            socket = LiveSocket(websocket, settings.live_stalled_s)
            performer = CallPerformer(socket, call, events, tts, settings.live_sentences)

            async def configure(config: CallConfig) -> None:
                performer.configure(config, await manner_of(config, await tts.engines(), copying))

            await LiveSession(socket, performer, CallConfig, configure, settings.live_silence_s).run()

    return router
