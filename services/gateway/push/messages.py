"""The messages of one session."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import cached_property

from services.contract.errors import TooLarge
from services.contract.push import PushChunk, PushEnd, PushInit, PushMetadata
from services.gateway.push.sizing import LEAST_CHUNK_BYTES
from services.gateway.push.window import Chunk

_MOST_MESSAGE_BYTES = 1024**2 - 1
_FRAME_BYTES = 512
"""More than what a chunk's message holds beside its sound, its file's name and its metadata."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Session:
    """Whom speech is for, and what is said."""

    request_id: str
    session_id: str
    phone_id: str
    text: str

    def metadata(self, engine: str, language: str) -> PushMetadata:
        """Return what each message tells."""
        return PushMetadata(
            session_id=self.session_id,
            request_id=self.request_id,
            phone_id=self.phone_id,
            text=self.text,
            engine=engine,
            language=language,
        )

    @property
    def file_name(self) -> str:
        """A name for the sound that no file system objects to."""
        return f"{_NOT_IN_NAMES.sub('_', self.request_id)}.wav"

    @cached_property
    def most_chunk_bytes(self) -> int:
        """How much sound fits into a message, beside the text."""
        metadata = self.metadata("", "").model_dump_json(by_alias=True)
        beside = len(metadata.encode()) + len(self.file_name) + _FRAME_BYTES
        return (_MOST_MESSAGE_BYTES - beside) // 4 * 3

    def check(self) -> None:
        """Raise `TooLarge` for a text that leaves no room for sound."""
        if self.most_chunk_bytes < LEAST_CHUNK_BYTES:
            raise TooLarge("text: it fills a message of 1 MiB, in which it is pushed; send it in parts.", param="text")

    def init(self) -> str:
        """Return the first message."""
        return PushInit(session_id=self.session_id, phone_id=self.phone_id).model_dump_json()

    def chunk(self, chunk: Chunk) -> str:
        """Return the message of a chunk."""
        return PushChunk(
            audio_data_base64=base64_of(chunk.audio),
            file_name=self.file_name,
            chunk_index=chunk.index,
            is_first=chunk.index == 0,
            metadata=self.metadata(chunk.engine, chunk.language),
        ).model_dump_json(by_alias=True)

    def complete(self, total: int, engine: str, language: str) -> str:
        """Return the last message."""
        end = PushEnd(total_chunks=total, metadata=self.metadata(engine, language))
        return end.model_dump_json(by_alias=True)

    def failed(self, total: int) -> str:
        """Return the message that tells that nothing more follows."""
        end = PushEnd(status="failed", total_chunks=total, metadata=self.metadata("", ""))
        return end.model_dump_json(by_alias=True)


def base64_of(data: bytes) -> str:
    """Return `data` in base64."""
    return base64.b64encode(data).decode()
