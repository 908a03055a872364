"""Speech pushed to somebody else's server, and how far it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.background import BackgroundTask

from services.chassis.logs import request_id
from services.chassis.problems import PROBLEM_MEDIA_TYPE
from services.chassis.sse import HEARTBEAT, SSE_MEDIA_TYPE, event
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import InvalidRequest, problem_of
from services.contract.push import HttpSpeech, PushAccepted, PushedFile, PushState
from services.contract.speech import AUTO, SAMPLE_BYTES, Manner
from services.gateway.calling import PATIENCE_S
from services.gateway.casting import check_text
from services.gateway.clients import TtsClient
from services.gateway.lines import lines_of
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ, Narration, narrate
from services.gateway.push.messages import Session, base64_of
from services.gateway.push.posting import Posting
from services.gateway.push.progress import Progress
from services.gateway.push.transfers import Transfers
from services.gateway.settings import GatewaySettings
from services.gateway.telling import told
from services.gateway.whole import whole_of

_PATH = "/api/convert-tts"
_ID = "^[!-~]{1,128}$"
"""What stands in a header of its own: neither spaces nor line ends."""
_ID_IN_PATH = "^[!-.0-~]{1,128}$"
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {SSE_MEDIA_TYPE: {}}}}


class ConvertRequest(BaseModel):
    """Body of `POST /api/convert-tts/`."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=False)

    text: str = Field(min_length=1)
    phone_id: str = Field(pattern=_ID, description="Printable ASCII without spaces, as the other two.")
    session_id: str = Field(pattern=_ID)
    request_id: str = Field(pattern=_ID_IN_PATH, description="Without slashes; its state is told by it.")
    use_websocket: bool | None = Field(
        None, alias="use_websocket", description="False: the sound is in the answer. By default as configured."
    )
    fire_and_forget: bool | None = Field(
        None, alias="fire_and_forget", description="False: answer when all is delivered. By default as configured."
    )
    voice: str = Field("", max_length=100)
    language: str = Field(AUTO, max_length=40)
    speed: float = Field(1.0, ge=0.25, le=4.0)

    def session(self) -> Session:
        """Whom it is for."""
        return Session(self.request_id, self.session_id, self.phone_id, self.text)


def push_router(settings: GatewaySettings, tts: TtsClient, transfers: Transfers, posting: Posting) -> APIRouter:
    """Return `/api/convert-tts/` and what tells of its transfers."""
    router = APIRouter(tags=["push"])

    @router.post(f"{_PATH}/", response_class=Response)
    @router.post(_PATH, include_in_schema=False)
    async def convert(body: ConvertRequest, request: Request) -> Response:
        """Speak a text and push it to the configured server while it is spoken; or answer with the sound."""
        check_text(body.text, settings.max_text_chars)
        if not lines_of(body.text, body.language):
            raise InvalidRequest("text: there is nothing to say; send at least one word.", param="text")
        if not _choice(body.use_websocket, settings.push_transfer_method == "websocket"):
            return await unless_disconnected(request, answered(body))
        manner = Manner(voice=body.voice, speed=body.speed)
        narration = Narration(body.text, body.language, manner, patience_s=PATIENCE_S)
        progress = transfers.begin(body.session(), narration)
        if _choice(body.fire_and_forget, settings.push_fire_and_forget):
            return _accepted(progress)
        # Who asked may leave; it is somebody else who listens.
        await unless_disconnected(request, progress.ended())
        return _outcome(progress, request.url.path)

    async def answered(body: ConvertRequest) -> Response:
        manner = Manner(voice=body.voice, speed=body.speed, live=False)
        narration = Narration(body.text, body.language, manner, at_once=settings.parallel_sentences)
        speech = await whole_of(narrate(tts, narration))
        session, first = body.session(), speech.answers[0]
        metadata = session.metadata(first.engine, first.language)
        sound = base64_of(speech.wav())
        file = PushedFile(audio_data_base64=sound, file_name=session.file_name, metadata=metadata)
        answer = HttpSpeech(
            request_id=body.request_id,
            audio_data_base64=sound,
            file_name=session.file_name,
            sample_rate=SPEECH_SAMPLE_RATE_HZ,
            duration=len(speech.pcm) / SAMPLE_BYTES / SPEECH_SAMPLE_RATE_HZ,
            metadata=metadata,
            posted=await posting.post(session, file),
        )
        return _json(answer, headers=told(first, *speech.notices))

    @router.get(f"{_PATH}/{{request_id}}")
    async def state(request_id: str) -> PushState:
        """Tell how far a transfer is; for a while after its end, too."""
        return transfers.find(request_id).state

    @router.get(f"{_PATH}/{{request_id}}/events", response_class=Response, responses=_EVENTS)
    async def events(request_id: str, request: Request) -> Response:
        """Follow a transfer by server-sent events."""
        told_of = _encoded(transfers.find(request_id))
        return await begin_stream(request, told_of, SSE_MEDIA_TYPE, {"Cache-Control": "no-cache"})

    return router


def _choice(asked: bool | None, default: bool) -> bool:
    return default if asked is None else asked


def _json(content: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content.model_dump_json(by_alias=True), status, headers, media_type="application/json")


def _accepted(progress: Progress) -> Response:
    state = progress.state
    url = f"{_PATH}/{quote(state.request_id, safe='')}"
    accepted = PushAccepted(**state.model_dump(), status_url=url, events_url=f"{url}/events")
    answer = _json(accepted, 202, {"Location": url})
    # A server that is told to stop waits for what follows an answer as it waits for the answer.
    answer.background = BackgroundTask(progress.ended)
    return answer


def _outcome(progress: Progress, path: str) -> Response:
    """Return how it went: the state, or the problem with the state beside it."""
    state, error = progress.state, progress.error
    if error is None:
        return _json(state)
    problem = problem_of(error, instance=path, request_id=request_id.get()).model_dump()
    told_of = {"requestId": state.request_id, "success": False, "transfer": state.model_dump(by_alias=True)}
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(problem | told_of, error.status, headers, media_type=PROBLEM_MEDIA_TYPE)


async def _encoded(progress: Progress) -> AsyncGenerator[bytes, None]:
    async with aclosing(progress.follow()) as states:
        async for state in states:
            yield HEARTBEAT if state is None else event(state.status, state.model_dump(mode="json", by_alias=True))
