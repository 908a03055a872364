"""A client of vLLM-Omni's speech socket, as its own examples are: what they send, and what they take for granted.

It reads by name, without asking first, every field that they read so; with a library's limits as they are.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

PATH = "/v1/audio/speech/stream"

OPTIONS: Mapping[str, object] = {
    "speaker": "Vivian",
    "task_type": "CustomVoice",
    "language": "Auto",
    "response_format": "wav",
    "speed": 1.0,
}
"""What is sent where nobody says otherwise."""

STREAMED = {**OPTIONS, "stream_audio": True, "response_format": "pcm"}
WORD_TIMESTAMPS = {**STREAMED, "word_timestamps": True}

_WORD_EVERY_S = 0.01


@dataclass
class Chunk:
    """Some sound with the words in it, where they are known."""

    chunk_id: int
    start_ms: int
    end_ms: int
    sample_rate: int
    pcm: bytes
    timestamps: list[dict[str, Any]] | None


@dataclass
class Sentence:
    """One sentence, as it was received."""

    text: str
    pieces: list[bytes] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    total_bytes: int = -1
    error: bool | None = None

    @property
    def sound(self) -> bytes:
        """All of its sound."""
        return b"".join(self.pieces)


@dataclass
class Heard:
    """What an utterance came to."""

    sentences: dict[int, Sentence] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    strange: list[dict[str, Any]] = field(default_factory=list)
    """Events of a type that is not known; they are shown, and nothing else."""
    total_sentences: int = -1


async def stream_tts(url: str, text: str, config: Mapping[str, object], *, word_by_word: bool = False) -> Heard:
    """Configure a session, send `text`, and receive until the utterance is over."""
    async with connect(url.replace("http", "ws", 1) + PATH) as socket:
        await socket.send(json.dumps({"type": "session.config", **config}))
        sending = asyncio.create_task(_send(socket, text, word_by_word=word_by_word))
        try:
            return await _receive(socket)
        finally:
            sending.cancel()


async def _send(socket: ClientConnection, text: str, *, word_by_word: bool) -> None:
    words = text.split(" ") if word_by_word else [text]
    for number, word in enumerate(words):
        piece = word + (" " if number < len(words) - 1 else "")
        await socket.send(json.dumps({"type": "input.text", "text": piece}))
        if word_by_word:
            await asyncio.sleep(_WORD_EVERY_S)
    await socket.send(json.dumps({"type": "input.done"}))


async def _receive(socket: ClientConnection) -> Heard:
    heard, current = Heard(), Sentence("")
    while True:
        raw = await asyncio.wait_for(socket.recv(), 30)
        if isinstance(raw, bytes):
            current.pieces.append(raw)
            continue
        event = json.loads(raw)
        kind = event.get("type")
        if kind == "audio.start":
            current = heard.sentences[event["sentence_index"]] = Sentence(event["sentence_text"])
        elif kind == "audio.chunk":
            chunk = _chunk_of(event)
            heard.sentences[event["sentence_index"]].chunks.append(chunk)
            current.pieces.append(chunk.pcm)
        elif kind == "audio.done":
            done = heard.sentences[event["sentence_index"]]
            done.total_bytes, done.error = event["total_bytes"], event["error"]
        elif kind == "session.done":
            heard.total_sentences = event["total_sentences"]
            return heard
        elif kind == "error":
            heard.errors.append(event["message"])
        else:
            heard.strange.append(event)


def _chunk_of(event: dict[str, Any]) -> Chunk:
    return Chunk(
        event["chunk_id"],
        event["chunk_start_ms"],
        event["chunk_end_ms"],
        event["sample_rate"],
        base64.b64decode(event["audio_b64"]),
        event["timestamps"],
    )
