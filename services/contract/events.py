"""The speech stream: PCM and its marks in one body, without base64.

    {"type": "audio", "sample_rate_hz": 22050, "pcm_bytes": 4096, "marks": [...]}\\n
    <4096 bytes of PCM>
    {"type": "end"}\\n

One JSON line, then the payload it announces. A body without the `end` line was cut short.
The tts service answers with such a stream, and the avatar service takes one as its body.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.contract.errors import InvalidRequest
from services.contract.speech import SAMPLE_BYTES, AudioChunk, Mark

SPEECH_STREAM = "application/vnd.talkie.speech"
"""Content type of a speech stream."""

_LONGEST_LINE_BYTES = 4 * 1024 * 1024
_LARGEST_PAYLOAD_BYTES = 256 * 1024 * 1024


class AudioEvent(BaseModel):
    """Announces `pcm_bytes` of PCM, which follow the line."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["audio"] = "audio"
    sample_rate_hz: int = Field(ge=8_000, le=192_000)
    pcm_bytes: int = Field(ge=0, le=_LARGEST_PAYLOAD_BYTES, multiple_of=SAMPLE_BYTES)
    marks: tuple[Mark, ...] = ()
    notices: tuple[str, ...] = ()
    takes: int = Field(1, ge=1)
    cut: bool = False


class EndEvent(BaseModel):
    """The speech is complete."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["end"] = "end"


_EVENT: TypeAdapter[AudioEvent | EndEvent] = TypeAdapter(Annotated[AudioEvent | EndEvent, Field(discriminator="type")])


def audio_event(chunk: AudioChunk) -> AudioEvent:
    """Return what announces `chunk`."""
    return AudioEvent(
        sample_rate_hz=chunk.sample_rate_hz,
        pcm_bytes=len(chunk.pcm),
        marks=chunk.marks,
        notices=chunk.notices,
        takes=chunk.takes,
        cut=chunk.cut,
    )


def audio_chunk(event: AudioEvent, pcm: bytes) -> AudioChunk:
    """Return the chunk that `event` announced."""
    return AudioChunk(pcm, event.sample_rate_hz, event.marks, event.notices, event.takes, event.cut)


def encode_chunk(chunk: AudioChunk) -> bytes:
    """Return the line and the payload of `chunk`."""
    return audio_event(chunk).model_dump_json().encode() + b"\n" + chunk.pcm


def encode_end() -> bytes:
    """Return the line that ends a stream."""
    return EndEvent().model_dump_json().encode() + b"\n"


def encode_speech(chunk: AudioChunk) -> bytes:
    """Return a whole stream that holds one chunk."""
    return encode_chunk(chunk) + encode_end()


class SpeechDecoder:
    """Reads a speech stream that arrives in pieces of any size.

    Raises `InvalidRequest` when the stream is malformed, goes on after its end, or is cut short.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._announced: AudioEvent | None = None
        self._ended = False

    def feed(self, data: bytes) -> list[AudioChunk]:
        """Take the next piece of the body and return the chunks it completed."""
        self._buffer += data
        chunks: list[AudioChunk] = []
        while (chunk := self._next_chunk()) is not None:
            chunks.append(chunk)
        return chunks

    def finish(self) -> None:
        """Say that the body is over."""
        if not self._ended or self._buffer:
            raise InvalidRequest("The speech stream was cut short; send it again, whole.")

    def _next_chunk(self) -> AudioChunk | None:
        if self._announced is None:
            self._announced = self._next_event()
        event = self._announced
        if event is None or len(self._buffer) < event.pcm_bytes:
            return None
        pcm = bytes(self._buffer[: event.pcm_bytes])
        del self._buffer[: event.pcm_bytes]
        self._announced = None
        return audio_chunk(event, pcm)

    def _next_event(self) -> AudioEvent | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_LINE_BYTES:
                raise InvalidRequest("This is not a speech stream: its first line never ends.")
            return None
        if self._ended:
            raise InvalidRequest("The speech stream goes on after its end event.")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            event = _EVENT.validate_json(line)
        except ValidationError as error:
            raise InvalidRequest(f"This is not a speech stream: {error.errors()[0]['msg']}.") from error
        if isinstance(event, EndEvent):
            self._ended = True
            return None
        return event


def decode_speech(body: bytes) -> list[AudioChunk]:
    """Return the chunks of a whole speech stream."""
    decoder = SpeechDecoder()
    chunks = decoder.feed(body)
    decoder.finish()
    return chunks
