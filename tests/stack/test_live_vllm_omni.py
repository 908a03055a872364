"""vLLM-Omni's clients speak with the running product as with their own server."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Generator, Mapping
from itertools import pairwise
from typing import Any

import av
import pytest
from websockets.asyncio.client import connect

from services.contract.errors import EngineFailed
from services.contract.speech import AudioChunk
from services.tts.engine import Utterance
from tests.gateways import gateway
from tests.live import TimedEngine, tone
from tests.stack.vllm_omni_client import OPTIONS, STREAMED, WORD_TIMESTAMPS, Heard, Sentence, stream_tts

TEXT = "Hello world. How are you? All is well."
SENTENCES = ["Hello world.", "How are you?", "All is well."]
PCM_MS = 48
"""Bytes of a millisecond."""

OPTIONAL = (
    *("model", "voice", "language", "instructions", "ref_audio", "ref_text", "speed", "task_type"),
    *("x_vector_only_mode", "seed", "max_new_tokens", "initial_codec_chunk_frames", "non_streaming_mode"),
)


def spoken(url: str, config: Mapping[str, object], *, word_by_word: bool = False) -> Heard:
    return asyncio.run(stream_tts(url, TEXT, config, word_by_word=word_by_word))


def complete(heard: Heard) -> list[Sentence]:
    """Return the sentences, after a look at whether they are all there."""
    sentences = list(heard.sentences.values())
    assert heard.errors == []
    assert [sentence.text for sentence in sentences] == SENTENCES
    assert list(heard.sentences) == [0, 1, 2] and heard.total_sentences == 3
    assert all(sentence.error is False for sentence in sentences)
    assert all(sentence.total_bytes == len(sentence.sound) > 0 for sentence in sentences)
    return sentences


@pytest.mark.parametrize("word_by_word", [False, True])
@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "aac", "opus"])
def test_each_sentence_is_a_file(stack: str, audio_format: str, word_by_word: bool) -> None:
    heard = spoken(stack, {**OPTIONS, "response_format": audio_format}, word_by_word=word_by_word)
    for sentence in complete(heard):
        [file] = sentence.pieces
        with av.open(io.BytesIO(file)) as container:
            frames = list(container.decode(audio=0))
        assert sum(frame.samples / frame.sample_rate for frame in frames) > 0.3
    assert heard.strange == []


@pytest.mark.parametrize("word_by_word", [False, True])
def test_sound_comes_as_it_is_made(stack: str, word_by_word: bool) -> None:
    heard = spoken(stack, STREAMED, word_by_word=word_by_word)
    assert all(sentence.total_bytes > 300 * PCM_MS for sentence in complete(heard))
    assert heard.strange == []


def test_words_come_with_their_times_and_chunks_with_their_places(stack: str) -> None:
    heard = spoken(stack, WORD_TIMESTAMPS)
    for sentence in complete(heard):
        *chunks, last = sentence.chunks
        assert [chunk.chunk_id for chunk in sentence.chunks] == list(range(len(sentence.chunks)))
        assert {chunk.sample_rate for chunk in sentence.chunks} == {24_000}
        assert all(chunk.timestamps is None for chunk in chunks)
        assert chunks[0].start_ms == 0
        assert all(before.end_ms == after.start_ms for before, after in pairwise(chunks))
        assert chunks[-1].end_ms == last.end_ms == round(sentence.total_bytes / PCM_MS)
        assert (last.pcm, last.start_ms) == (b"", 0)
        assert last.timestamps is not None
        assert [word["word"].strip(".?") for word in last.timestamps] == sentence.text.strip(".?").split()
        assert 0 <= last.timestamps[0]["start_ms"] < last.timestamps[-1]["end_ms"] <= last.end_ms
    assert heard.strange == []


def test_nulls_are_as_good_as_nothing(stack: str) -> None:
    heard = spoken(stack, {"speaker": "Vivian", **dict.fromkeys(OPTIONAL)})
    complete(heard)
    assert heard.strange == []


def test_either_name_of_the_voice_is_heard(stack: str) -> None:
    as_speaker, as_voice, other = (
        spoken(stack, {"response_format": "pcm", **voice})
        for voice in ({"speaker": "male"}, {"voice": "male"}, {"voice": "female"})
    )
    sounds = [[sentence.sound for sentence in complete(heard)] for heard in (as_speaker, as_voice, other)]
    assert sounds[0] == sounds[1] != sounds[2]


def test_what_is_not_known_is_named_and_the_session_goes_on(stack: str) -> None:
    newer = {"sample_rate": 16_000, "streaming_mode": "token_level", "speaker_embedding": [0.5], "later": None}
    heard = spoken(stack, {**OPTIONS, **newer})
    complete(heard)
    [warning] = heard.strange
    assert warning["type"] == "warning"
    assert warning["params"] == ["sample_rate", "streaming_mode", "speaker_embedding"]
    assert all(name in warning["message"] for name in warning["params"])


def test_so_it_is_with_films(stack: str) -> None:
    async def told(**config: object) -> list[dict[str, Any]]:
        """Return the events until a sign of life."""
        events: list[dict[str, Any]] = []
        async with connect(stack.replace("http", "ws", 1) + "/v1/video/stream") as socket:
            await socket.send(json.dumps({"type": "session.config", "idle": False, "size": "128x128", **config}))
            await socket.send(json.dumps({"type": "ping"}))
            while not events or events[-1]["type"] != "pong":
                events.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
        return events

    assert [event["type"] for event in asyncio.run(told(voice=None, seed=None))] == ["session.created", "pong"]
    created, warning, _ = asyncio.run(told(colour="red"))
    assert (created["type"], warning["type"], warning["params"]) == ("session.created", "warning", ["colour"])


class _Faltering(TimedEngine):
    """Falls silent in the middle of a sentence about an end."""

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        yield tone(0.2)
        if "end" in utterance.text:
            raise EngineFailed("The tone broke.")


def test_a_sentence_that_breaks_off_says_so() -> None:
    async def visit() -> Heard:
        async with gateway(_Faltering({}, streams=True)) as (url, _):
            return await stream_tts(url, "This is the end. This is not.", {**STREAMED, "speaker": "tone"})

    heard = asyncio.run(visit())
    assert [sentence.error for sentence in heard.sentences.values()] == [True, False]
    assert all(sentence.total_bytes == len(sentence.sound) > 0 for sentence in heard.sentences.values())
    assert len(heard.errors) == 1 and "broke" in heard.errors[0]
