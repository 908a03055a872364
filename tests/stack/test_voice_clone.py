"""The whole product with the qwen3 engine over tiny checkpoints, through the API that clones voices."""

from __future__ import annotations

import base64
import io
import json
import time
import wave
from collections.abc import Iterator
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest

from tests.clips import BAD, GOOD, GOOD_FORMATS
from tests.processes import running_stack
from tests.qwen3 import TinyQwen

FRAME = 1920
TEXT = "Hello there, this is a copied voice."
SHORT: dict[str, Any] = {"max_new_tokens": 12}


@pytest.fixture(scope="module")
def url(tiny_qwen: TinyQwen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("voices")
    environment = tiny_qwen.environment() | {"TTS_VOICES_DIR": str(folder)}
    with running_stack(environment=environment) as url:
        deadline = time.monotonic() + 60
        while httpx.get(f"{url}/health/ready").status_code != 200:
            assert time.monotonic() < deadline, httpx.get(f"{url}/health/ready").text
            time.sleep(0.2)
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def clone(client: httpx.Client, path: str = "/tts/voice_clone", **fields: Any) -> httpx.Response:
    body = {"text": TEXT, "ref_audio": base64.b64encode(GOOD).decode(), "ref_text": "What is said in the clip."}
    return client.post(path, params={"model_size": "0.6b"}, json=body | fields)


def samples(wav: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    parsed = []
    for block in answer.text.strip().split("\n\n"):
        name, data = block.split("\n")
        parsed.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return parsed


def test_a_copied_voice_speaks_whole_codec_frames(client: httpx.Client) -> None:
    answer = clone(client, seed=3)
    assert answer.headers["content-type"] == "audio/wav"
    assert float(answer.headers["x-generation-time"]) > 0
    assert answer.headers["x-talkie-engine"] == "qwen3"
    sound = samples(answer.content)
    assert len(sound) > FRAME
    assert len(sound) % FRAME == 0


def test_several_sentences_are_still_whole_frames(client: httpx.Client) -> None:
    one = samples(clone(client, text="One sentence.", generation_params=SHORT, seed=1).content)
    three = samples(clone(client, text="One sentence. And two. And three!", generation_params=SHORT, seed=1).content)
    assert len(three) % FRAME == 0
    assert len(three) > 2 * len(one)


def test_lists_make_several_clips(client: httpx.Client) -> None:
    answer = clone(client, text=["One.", "Two and a half."], language=["English", "Auto"], generation_params=SHORT)
    told = answer.json()
    assert (told["success"], told["audio_count"], told["sample_rate"]) == (True, 2, 24_000)
    assert told["generation_time"] > 0
    assert all(len(samples(base64.b64decode(clip))) % FRAME == 0 for clip in told["audio_data"])
    assert clone(client, text=["One.", "Two."], language=["English"] * 3).status_code == 422


def test_any_field_can_be_a_list(client: httpx.Client) -> None:
    audio = base64.b64encode(GOOD).decode()
    fields: dict[str, Any] = {"ref_audio": [audio, audio], "ref_text": ["What is said in the clip.", None]}
    answer = clone(client, x_vector_only_mode=[True, False], generation_params=SHORT, **fields)
    assert (answer.status_code, answer.json()["audio_count"]) == (200, 2)


def test_a_long_list_does_not_stand_in_its_own_way(client: httpx.Client) -> None:
    texts = [f"This is clip number {number}." for number in range(60)]
    answer = clone(client, text=texts, generation_params={"max_new_tokens": 2})
    assert (answer.status_code, answer.json()["audio_count"]) == (200, 60)


def test_events_come_while_the_speech_is_made_and_join_to_the_whole(client: httpx.Client) -> None:
    text = "A rather long sentence, which goes on and on, so that there is something to stream."
    body = {"text": text, "ref_audio": base64.b64encode(GOOD).decode(), "ref_text": "What is said.", "seed": 14}
    began, first_s = time.perf_counter(), 0.0
    with client.stream("POST", "/tts/voice_clone/sse?streaming=true", json=body) as answer:
        content = b""
        for data in answer.iter_raw():
            content += data
            if not first_s and b"event: audio" in content:
                first_s = time.perf_counter() - began
    total_s = time.perf_counter() - began
    answer._content = content
    told = events(answer)
    assert told[0][0] == "meta"
    assert told[-1][0] == "done"
    audio = [data for name, data in told if name == "audio"]
    assert len(audio) == told[-1][1]["total_chunks"] > 3
    assert [data["chunk_index"] for data in audio] == list(range(len(audio)))
    assert first_s < total_s / 3
    streamed = np.concatenate([samples(base64.b64decode(data["audio"])) for data in audio])
    assert len(streamed) % FRAME == 0
    whole_answer = client.post(
        "/v1/audio/speech",
        json={"input": text, "use_cache": False, "response_format": "pcm"}
        | {name: body[name] for name in ("ref_audio", "ref_text", "seed")},
    )
    again = np.frombuffer(whole_answer.content, "<i2")
    assert len(again) == len(streamed)
    assert np.abs(again.astype(int) - streamed).max() <= 33  # a thousandth of full scale


def test_a_stored_voice_is_used_by_name_everywhere(client: httpx.Client) -> None:
    stored = client.post(
        "/v1/audio/voices",
        data={"name": "Clara", "transcript": "What Clara says here, all of it."},
        files={"audio_sample": GOOD_FORMATS["mp3"]},
    )
    assert (stored.status_code, stored.json()["object"]) == (201, "audio.voice")
    names = [voice["name"] for voice in client.get("/v1/audio/voices").json()["voices"]]
    assert {"Clara", "Ryan"} <= set(names)
    by_reference = clone(client, ref_audio="Clara", ref_text="", generation_params=SHORT)
    assert by_reference.headers["x-talkie-voice"] == "Clara"
    by_name = client.post("/v1/audio/speech", json={"input": "Hi.", "voice": "Clara", "response_format": "wav"})
    assert (by_name.status_code, by_name.headers["x-talkie-voice"]) == (200, "Clara")
    film = client.post("/video/generate", json={"text": "Hi there.", "ref_audio": "Clara", "size": "128x128"})
    assert (film.headers["content-type"], film.headers["x-talkie-voice"]) == ("video/mp4", "Clara")
    assert client.delete("/v1/audio/voices/Clara").json()["deleted"] is True
    assert clone(client, ref_audio="Clara", ref_text="").status_code == 422


def test_a_film_speaks_in_an_uploaded_voice(client: httpx.Client) -> None:
    data = {"text": "Hi there.", "language": "English", "ref_text": "What is said.", "model_size": "0.6b"}
    film = client.post("/video/generate", data=data | {"size": "128x128"}, files={"ref_audio": GOOD})
    assert film.status_code == 200, film.text
    assert film.headers["x-talkie-voice"] == "reference"
    with av.open(io.BytesIO(film.content)) as file:
        assert {stream.type for stream in file.streams} == {"audio", "video"}


@pytest.mark.parametrize("name", GOOD_FORMATS)
def test_every_common_format_can_be_copied(client: httpx.Client, name: str) -> None:
    answer = clone(client, ref_audio=base64.b64encode(GOOD_FORMATS[name]).decode(), generation_params=SHORT)
    assert answer.status_code == 200


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("10 minutes", "empty", "a broken wav")])
def test_bad_references_are_refused_and_nothing_hangs(client: httpx.Client, name: str) -> None:
    clip, status = BAD[name]
    for path in ("/tts/voice_clone", "/tts/voice_clone/sse"):
        refusal = clone(client, path, ref_audio=base64.b64encode(clip).decode())
        assert (refusal.status_code, refusal.json()["param"]) == (status, "ref_audio")
    assert clone(client, text="Hi.", generation_params=SHORT).status_code == 200


def test_a_transcript_of_another_clip_is_refused_or_left_out(client: httpx.Client) -> None:
    assert clone(client, ref_text="Much too much text for so short a clip. " * 10).json()["param"] == "ref_text"
    answer = clone(client, ref_text="Hi.", generation_params=SHORT)
    assert answer.status_code == 200
    assert "timbre alone" in answer.headers["x-talkie-notice"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"generation_params": {"max_new_tokens": 0}}, "generation_params.max_new_tokens"),
        ({"generation_params": {"max_new_tokens": 5000}}, "generation_params.max_new_tokens"),
        ({"generation_params": {"temperature": 2.1}}, "generation_params.temperature"),
        ({"generation_params": {"top_k": 0}}, "generation_params.top_k"),
        ({"generation_params": {"repetition_penalty": 0.5}}, "generation_params.repetition_penalty"),
        ({"seed": -1}, "seed"),
        ({"text": ""}, "text"),
        ({"language": "Klingon"}, "language"),
        ({"ref_audio": ""}, "ref_text"),
        ({"ref_audio": "nobody"}, "ref_audio"),
        ({"ref_audio": "http://127.0.0.1/x.wav"}, "ref_audio"),
        ({"unknown": 1}, "unknown"),
        ({"language": "x" * 41}, "language"),
        ({"ref_text": "x" * 5_001}, "ref_text"),
        ({"ref_audio": "ann", "ref_text": "x" * 5_001}, "ref_text"),
        ({"text": "many words " * 500, "split_sentences": False}, "text"),
        ({"text": f"<speak><say-as interpret-as='characters'>{'7' * 4_000}</say-as></speak>"}, "text"),
        ({"text": ["a"] * 65}, "text"),
        ({"text": ["a", "b"], "language": ["en"] * 3}, "text"),
    ],
)
def test_bad_parameters_are_told(client: httpx.Client, fields: dict[str, Any], param: str) -> None:
    refusal = clone(client, **fields)
    assert (refusal.status_code, refusal.json()["param"]) == (422, param)


def test_the_larger_model_is_not_silently_replaced(client: httpx.Client) -> None:
    refusal = client.post(
        "/tts/voice_clone?model_size=1.7B", json={"text": "Hi.", "ref_audio": base64.b64encode(GOOD).decode()}
    )
    assert refusal.status_code == 503
    assert "1.7b" in refusal.json()["detail"]
    assert client.post("/tts/voice_clone?model_size=9b", json={"text": "Hi."}).json()["param"] == "model_size"


def test_the_official_openai_client(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    assert "qwen3" in [model.id for model in client.models.list()]
    speech = client.audio.speech.create(model="qwen3", voice="Ryan", input="Hello.", response_format="wav")
    assert len(samples(speech.content)) % FRAME == 0
    with client.audio.speech.with_streaming_response.create(
        model="qwen3", voice="Ryan", input="Hello.", response_format="pcm", stream_format="sse"
    ) as answer:
        lines = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert [line["type"] for line in lines][-1] == "speech.audio.done"
    pcm = b"".join(base64.b64decode(line["audio"]) for line in lines if line["type"] == "speech.audio.delta")
    assert len(pcm) // 2 // FRAME == lines[-1]["usage"]["output_tokens"]
    with pytest.raises(openai.UnprocessableEntityError, match="nobody"):
        client.audio.speech.create(model="qwen3", voice="nobody", input="Hello.")


def test_status_tells_speakers_and_languages(client: httpx.Client) -> None:
    told = client.get("/info").json()
    assert told["loaded_models"][0] == told["available_models"][0] == "qwen3"
    assert {"base_0.6b", "custom_voice_1.7b", "voice_design_1.7b"} <= set(told["available_models"])
    assert {"Ryan", "Vivian"} <= set(told["available_speakers"])
    assert {"Auto", "Japanese", "Portuguese"} <= set(told["supported_languages"])
