"""Speech on a socket: each sentence announced, and then its sound."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from functools import partial

from anyio import to_thread

from services.chassis.wav import wav_file
from services.contract.speech import SAMPLE_BYTES, AudioChunk, Manner, Mark
from services.gateway.audio import SpeechEncoder, encoder_for
from services.gateway.clients import TtsClient
from services.gateway.live.messages import SpeechConfig
from services.gateway.live.pipeline import SentenceBegun, SentenceFailed, Speaking, speak_tokens
from services.gateway.live.said import Said
from services.gateway.live.sender import Sender
from services.gateway.live.socket import LiveSocket, Message
from services.gateway.live.turns import Perform, Utterance
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ

_PLAIN = ("pcm", "wav")

_LARGEST_PIECE_BYTES = 256 * 1024
"""Many clients' libraries refuse messages from 1 MiB on."""

_SOUND = {"sample_rate": SPEECH_SAMPLE_RATE_HZ, "channels": 1}


class AudioPerformer:
    """Speaks the utterances of one socket."""

    def __init__(self, socket: LiveSocket, tts: TtsClient, at_once: int) -> None:
        self._socket = socket
        self._tts = tts
        self._at_once = at_once
        self._config = SpeechConfig()
        self._manner = Manner()
        self.said = Said()

    def configure(self, config: SpeechConfig, manner: Manner) -> None:
        """Speak so from the next utterance on."""
        self._config = config
        self._manner = manner.model_copy(update={"sample_rate_hz": SPEECH_SAMPLE_RATE_HZ})

    async def run(self) -> None:
        """There is nothing to do beside the utterances."""
        await asyncio.Event().wait()

    def interrupt(self) -> dict[str, object]:
        """Return what was sent last."""
        told, self.said = self.said.told(), Said()
        return told

    def performance(self) -> Perform:
        """Return what sends the speech of an utterance, and that it is over."""
        config = self._config
        speaking = Speaking(self._manner, config.language, config.split_granularity, self._at_once)
        return lambda utterance: self._perform(utterance, config, speaking)

    async def _perform(self, utterance: Utterance, config: SpeechConfig, speaking: Speaking) -> None:
        self.said = Said()
        sending = _Sending(self._socket, utterance, config, self.said)
        await sending.send_all(speak_tokens(self._tts, utterance.tokens, speaking, utterance.journal))
        utterance.journal.note("all sent")
        await sending.tell("session.done", total_sentences=sending.sentences, failed_sentences=sending.failed)


class _Sending(Sender):
    """One utterance on its way to the client."""

    def __init__(self, socket: LiveSocket, utterance: Utterance, config: SpeechConfig, said: Said) -> None:
        super().__init__()
        self._socket = socket
        self._utterance = utterance
        self._config = config
        self._said = said
        self._encoder: SpeechEncoder = encoder_for("pcm")
        self._held: list[AudioChunk] = []
        """Sound of a sentence that is sent in one piece."""
        self._words: list[dict[str, object]] = []
        self._lead_s = self._pause_s = 0.0
        self._pcm_bytes = self._sent_bytes = self._chunks = 0
        self._place = {"utterance_index": utterance.index, "generation": utterance.generation}

    async def tell(self, event: str, *before: Message, **fields: object) -> None:
        """Send an event of this utterance, after what belongs before it."""
        await self._send(*before, {"type": event, **self._place, **fields})

    async def _send(self, *messages: Message) -> None:
        """Send something of this utterance; what is heard with it counts as sent once that has begun."""
        count = partial(self._said.add, (), self._heard_s)
        await self._socket.send(*messages, generation=self._utterance.generation, begun=count)

    async def _begin(self, event: SentenceBegun) -> None:
        self._said.begin(event.index, event.line.text, self._utterance.index)
        self._encoder = encoder_for(self._config.response_format)
        self._lead_s, self._pause_s = self._pause_s, event.line.pause_s
        self._held, self._words = [], []
        self._pcm_bytes = self._sent_bytes = self._chunks = 0
        fields: dict[str, object] = {"sentence_index": event.index, "sentence_text": event.line.text}
        fields |= {"format": self._config.response_format, **_SOUND}
        if self._config.word_timestamps:
            fields["word_timestamps"] = True
        await self.tell("audio.start", **fields)
        self._utterance.journal.note("sending started", event.index)
        if self._lead_s:
            await self._hear(AudioChunk.silence(self._lead_s, SPEECH_SAMPLE_RATE_HZ))

    async def _hear(self, chunk: AudioChunk) -> None:
        self._pcm_bytes += len(chunk.pcm)
        chunk = replace(chunk, marks=tuple(mark.shifted(self._lead_s) for mark in chunk.marks))
        self._said.add(chunk.marks, self._said.sent_s)
        if not self._config.stream_audio:
            self._held.append(chunk)
            return
        if self._config.word_timestamps:
            self._words += [_timestamp(mark) for mark in chunk.marks if mark.kind == "word"]
            for at in range(0, len(chunk.pcm), _LARGEST_PIECE_BYTES):
                await self._send_in_json(chunk.pcm[at : at + _LARGEST_PIECE_BYTES], None)
        elif data := await self._encoded(chunk.pcm):
            for at in range(0, len(data), _LARGEST_PIECE_BYTES):
                piece = data[at : at + _LARGEST_PIECE_BYTES]
                self._sent_bytes += len(piece)
                await self._send(piece)

    async def _end(self, *, broken_off: bool) -> None:
        if self._config.word_timestamps:
            await self._send_in_json(b"", self._words)
        rest = await self._whole() if self._held else await to_thread.run_sync(self._encoder.finish)
        fields: dict[str, object] = {"sentence_index": self.index, "duration_ms": _ms_of(self._pcm_bytes)}
        fields |= {"total_bytes": self._sent_bytes + len(rest), "error": broken_off}
        if broken_off:
            fields["broken_off"] = True
        # Sound and the end of it belong together: one without the other is half a sentence.
        await self.tell("audio.done", *([rest] if rest else []), **fields)
        self._utterance.journal.note("sent", self.index)

    async def _refuse(self, event: SentenceFailed) -> None:
        await self._socket.refuse(event.error, **self._place, sentence_index=event.index, sentence_text=event.text)

    async def _whole(self) -> bytes:
        pcm = b"".join(chunk.pcm for chunk in self._held)
        if self._config.response_format == "wav":
            return wav_file(pcm, SPEECH_SAMPLE_RATE_HZ)
        return await self._encoded(pcm) + await to_thread.run_sync(self._encoder.finish)

    async def _encoded(self, pcm: bytes) -> bytes:
        if self._config.response_format in _PLAIN:
            return self._encoder.encode(pcm)
        return await to_thread.run_sync(self._encoder.encode, pcm)

    async def _send_in_json(self, pcm: bytes, timestamps: list[dict[str, object]] | None) -> None:
        """Send some sound, or the times of the words of all of it."""
        start_ms = _ms_of(self._sent_bytes) if timestamps is None else 0
        self._sent_bytes += len(pcm)
        place: dict[str, object] = {"sentence_index": self.index, "chunk_id": self._chunks, **_SOUND}
        place |= {"chunk_start_ms": start_ms, "chunk_end_ms": _ms_of(self._sent_bytes)}
        self._chunks += 1
        sound = base64.b64encode(pcm).decode()
        await self.tell("audio.chunk", **place, audio_b64=sound, timestamps=timestamps)

    @property
    def _heard_s(self) -> float:
        return _s_of(self._pcm_bytes)


def _s_of(pcm_bytes: int) -> float:
    return pcm_bytes / SAMPLE_BYTES / SPEECH_SAMPLE_RATE_HZ


def _ms_of(pcm_bytes: int) -> int:
    return round(1000 * _s_of(pcm_bytes))


def _timestamp(mark: Mark) -> dict[str, object]:
    return {"word": mark.text, "start_ms": round(1000 * mark.start_s), "end_ms": round(1000 * mark.end_s)}
