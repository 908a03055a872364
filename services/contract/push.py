"""Speech pushed to somebody else's server: what is sent there over a WebSocket, and what is told of it here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.contract.errors import ServiceError

SUBPROTOCOL = "talkie.push.v1"
"""A server that selects it takes many sessions on one connection, and acknowledges by `PushAck`."""

PHONE_HEADER, SESSION_HEADER = "phone-id", "session-id"

TransferMethod = Literal["websocket", "http"]
PushStatus = Literal["queued", "in_progress", "completed", "failed"]


class _Camel(BaseModel):
    """Fields are written as `chunkIndex` on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class PushInit(BaseModel):
    """First message of a session on a connection; a connection that follows a lost one begins with it again."""

    type: Literal["init"] = "init"
    session_id: str
    phone_id: str


class PushMetadata(_Camel):
    """Whose speech it is, and who speaks."""

    session_id: str
    request_id: str
    phone_id: str
    text: str = Field(description="All that is said.")
    engine: str
    language: str = Field(description="BCP 47 tag.")


class PushChunk(_Camel):
    """Some of the sound. All chunks in the order of their index are one WAV file."""

    audio_data_base64: str
    file_name: str
    chunk_index: int = Field(description="From 0; a receiver drops what it has already.")
    is_first: bool
    metadata: PushMetadata


class PushEnd(_Camel):
    """Last message of a session. `failed` is sent to servers that selected `SUBPROTOCOL` only."""

    status: Literal["complete", "failed"] = "complete"
    total_chunks: int
    metadata: PushMetadata


class PushAck(_Camel):
    """The server's word that it has a chunk; with the index `total_chunks`, that it has the end."""

    type: Literal["ack"]
    request_id: str
    chunk_index: int


class PushedFile(_Camel):
    """Body of the POST to `ORASERVER_HTTP_URL`."""

    audio_data_base64: str
    file_name: str
    metadata: PushMetadata


class PushError(BaseModel):
    """Why something was not delivered."""

    code: str
    message: str


class PushState(_Camel):
    """How far a transfer is."""

    request_id: str
    status: PushStatus
    success: bool | None = Field(None, description="Null until it is over.")
    chunks_sent: int = Field(0, description="Different ones.")
    chunks_delivered: int = Field(0, description="Acknowledged ones.")
    chunks_resent: int = Field(
        0, description="Sent again, because a connection was lost before they were acknowledged."
    )
    total_chunks: int | None = Field(None, description="Unknown while it is being spoken.")
    bytes_delivered: int = Field(0, description="Of the WAV.")
    reconnects: int = 0
    transfer_seconds: float | None = Field(None, description="From the request to the last acknowledgement.")
    notices: list[str] = Field([], description="What was spoken in another way than asked.")
    error: PushError | None = None


class PushAccepted(PushState):
    """Answer of `POST /api/convert-tts/` to who does not wait."""

    status_url: str
    events_url: str


class PostedOn(BaseModel):
    """Whether the POST to `ORASERVER_HTTP_URL` worked."""

    success: bool
    status: int | None = Field(None, description="Of the answer; null where there was none.")
    error: str | None = None


class HttpSpeech(_Camel):
    """Answer of `POST /api/convert-tts/` with `use_websocket=false`."""

    request_id: str
    status: Literal["completed"] = "completed"
    success: Literal[True] = True
    audio_data_base64: str = Field(description="A WAV file.")
    file_name: str
    sample_rate: int = Field(description="Hz.")
    duration: float = Field(description="Seconds.")
    metadata: PushMetadata
    posted: PostedOn | None = Field(None, description="Null where no URL is configured.")


class DeliveryFailed(ServiceError):
    """The server that speech is pushed to could not be reached, or did not acknowledge it."""

    code = "delivery_failed"
    status = 502
    title = "Delivery failed"
    retryable = True
