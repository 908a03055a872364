"""Speech as OpenAI's clients ask for it."""

from __future__ import annotations

import io
import wave

import av
import httpx
import pytest

TEXT = "Hello there. This sentence is spoken in every format."
FORMATS = {"mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav"}
CODEC_EDGE_S = 0.12


def speak(client: httpx.Client, **fields: object) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"input": TEXT, "model": "tts-1", **fields})


def pcm_s(client: httpx.Client) -> float:
    return len(speak(client, voice="female", response_format="pcm").content) / 2 / 24_000


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_format_holds_the_whole_speech(client: httpx.Client, audio_format: str) -> None:
    answer = speak(client, voice="female", response_format=audio_format)
    assert answer.headers["content-type"] == FORMATS[audio_format]
    with av.open(io.BytesIO(answer.content)) as sound:
        samples = sum(frame.samples for frame in sound.decode(audio=0))
        duration_s = samples / sound.streams.audio[0].rate
    assert duration_s == pytest.approx(pcm_s(client), abs=CODEC_EDGE_S)


def test_pythons_own_reader_reads_the_streamed_wav(client: httpx.Client) -> None:
    answer = speak(client, voice="female", response_format="wav")
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
        assert len(sound.readframes(10**8)) / 2 / 24_000 == pytest.approx(pcm_s(client), abs=0.05)


@pytest.mark.parametrize(
    ("asked", "spoke"),
    [("alloy", "female"), ("onyx", "male"), ("Vivian", "female"), ("male-2", "male-2"), ("", "female")],
)
def test_the_answer_says_which_voice_spoke(client: httpx.Client, asked: str, spoke: str) -> None:
    assert speak(client, voice=asked, response_format="pcm").headers["x-talkie-voice"] == spoke
    assert speak(client, voice={"id": asked}, response_format="pcm").headers["x-talkie-voice"] == spoke


def test_a_null_is_the_same_as_nothing(client: httpx.Client) -> None:
    fields = ("model", "voice", "instructions", "response_format", "speed", "stream_format", "language", "seed")
    spoken = speak(client, **dict.fromkeys(fields))
    assert (spoken.status_code, spoken.headers["content-type"]) == (200, "audio/mpeg")
    assert spoken.content == speak(client).content


def test_speed_changes_the_length(client: httpx.Client) -> None:
    slow, fast = (len(speak(client, response_format="pcm", speed=speed).content) for speed in (0.8, 1.6))
    assert slow > 1.6 * fast


def test_voices_and_models_are_listed(client: httpx.Client) -> None:
    voices = client.get("/v1/audio/voices").json()["voices"]
    assert {"female", "male"} <= {voice["name"] for voice in voices}
    assert client.get("/v1/models").json()["data"][0]["id"] == "espeak"
