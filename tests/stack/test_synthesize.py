"""Styles, long texts side by side, SSML and the cache, as the product serves them with its default engine."""

from __future__ import annotations

import asyncio
import io
import wave

import httpx
import numpy as np
import pytest

from services.client import Talkie
from services.contract.errors import RemoteError

LONG = " ".join(f"This is sentence number {number}, and it says a little something." for number in range(1, 9))


def made(client: httpx.Client, path: str = "/synthesize", **fields: object) -> dict[str, object]:
    answer = client.post(path, json={"language": "English"} | fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, object] = answer.json()
    return told


def sound(client: httpx.Client, told: dict[str, object]) -> np.ndarray:  # type: ignore[type-arg]
    answer = client.get(str(told["audio_url"]))
    assert answer.headers["content-type"] == "audio/wav"
    return samples(answer.content)


def samples(wav: bytes) -> np.ndarray:  # type: ignore[type-arg]
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getframerate() == 24_000
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float) / 32767


def test_the_text_chooses_the_style_unless_the_caller_does(client: httpx.Client) -> None:
    happy = made(client, text="I am so happy, this is wonderful!")
    assert (happy["emotion"], happy["style"]) == ("joy", "Happy")
    assert 0 < float(str(happy["style_weight"])) <= 1
    sad = made(client, text="I am so happy, this is wonderful!", style="Sad", style_weight=0.5)
    assert (sad["emotion"], sad["style"], sad["style_weight"]) == ("neutral", "Sad", 0.5)
    plain = made(client, text="I am so happy, this is wonderful!", use_emotion_analysis=False)
    assert (plain["emotion"], plain["style"]) == ("neutral", "Neutral")
    assert len(sound(client, sad)) > len(sound(client, happy))


def test_a_weight_holds_for_the_texts_own_style_too_and_is_told_as_it_was_applied(client: httpx.Client) -> None:
    text = "I am so sad, this is terrible."
    slight, full = (made(client, text=text, style_weight=weight) for weight in (0.1, 1.0))
    assert [(told["style"], told["style_weight"]) for told in (slight, full)] == [("Sad", 0.1), ("Sad", 1.0)]
    assert len(sound(client, full)) > len(sound(client, slight))
    much = client.post("/synthesize", json={"text": text, "language": "English", "style": "Sad", "style_weight": 10})
    assert much.json()["style_weight"] == 1.0
    assert much.json()["audio_url"] == full["audio_url"]
    assert "style_weight: 10 counts as 1" in much.headers["x-talkie-notice"]


def test_what_was_said_before_is_told(client: httpx.Client) -> None:
    text = "Nobody has said this before."
    first, again = made(client, text=text), made(client, text=text)
    assert (first["cached"], again["cached"]) == (False, True)
    assert first["audio_url"] == again["audio_url"]
    assert made(client, text=text, use_cache=False)["cached"] is False
    assert made(client, text=text, length_scale=1.5)["cached"] is False


def test_length_scale_stretches_and_the_rest_is_told(client: httpx.Client) -> None:
    text = "How long is this?"
    normal, slow = (sound(client, made(client, text=text, length_scale=scale)) for scale in (1.0, 2.0))
    assert len(slow) > 1.6 * len(normal)
    answer = client.post("/synthesize", json={"text": text, "noise_scale": 0.6})
    assert "noise_scale" in answer.headers["x-talkie-notice"]


def test_long_texts_side_by_side_are_the_same_speech(client: httpx.Client) -> None:
    parallel = made(client, "/synthesize/parallel", text=LONG, segments=4, use_cache=False)
    assert (parallel["segments"], parallel["parallel"]) == (8, True)
    one = made(client, "/synthesize/parallel", text=LONG, parallel=False, use_cache=False)
    side_by_side, in_turn = sound(client, parallel), sound(client, one)
    assert len(side_by_side) == pytest.approx(len(in_turn), rel=0.01)
    assert np.abs(np.diff(side_by_side)).max() < 1.5 * np.abs(np.diff(in_turn)).max()  # no clicks at the joins


def test_ssml_is_spoken(client: httpx.Client) -> None:
    def spoken(text: str) -> np.ndarray:  # type: ignore[type-arg]
        return sound(client, made(client, text=text, use_emotion_analysis=False))

    plain = spoken("<speak>One two three.</speak>")
    broken = spoken('<speak>One two <break time="1s"/> three.</speak>')
    assert len(broken) > len(plain) + 20_000
    slow = spoken('<speak><prosody rate="50%">One two three.</prosody></speak>')
    assert len(slow) > 1.5 * len(plain)
    refusal = client.post("/synthesize", json={"text": "<speak><shout>Hi</shout></speak>"})
    assert (refusal.status_code, refusal.json()["param"]) == (422, "text")
    film = client.post(
        "/video/generate", json={"text": '<speak>Hi <break time="1s"/> there.</speak>', "size": "128x128"}
    )
    assert film.status_code == 200
    phoneme = client.post("/synthesize", json={"text": '<speak><phoneme ph="təˈmɑːtəʊ">tomato</phoneme></speak>'})
    assert "phoneme has no effect" in phoneme.headers["x-talkie-notice"]


def test_numbers_are_said_in_words(client: httpx.Client) -> None:
    digits, words = (
        sound(client, made(client, text=text, use_emotion_analysis=False))
        for text in ("It costs $5.50 on 2026-11-20.", "It costs five dollars, fifty cents on November twentieth.")
    )
    assert len(digits) > 0.9 * len(words)


def test_the_cache_is_told_and_cleared(client: httpx.Client) -> None:
    made(client, text="Something to keep.")
    stats = client.get("/tts/cache/stats").json()
    assert set(stats) == {"cache_size", "max_cache_size", "hits", "misses", "hit_rate", "total_requests"}
    assert stats["cache_size"] >= 1
    assert stats["total_requests"] == stats["hits"] + stats["misses"]
    assert client.post("/tts/cache/cleanup").json()["status"] == "success"
    assert client.delete("/tts/cache/clear").json()["removed"] >= 1
    assert client.get("/tts/cache/stats").json()["cache_size"] == 0
    assert made(client, text="Something to keep.")["cached"] is False


@pytest.mark.parametrize(
    "fields",
    [{"text": ""}, {"text": "Hi", "style": "Sarcastic"}, {"text": "Hi", "length_scale": 0}, {"text": "Hi", "pitch": 1}],
)
def test_bad_fields(client: httpx.Client, fields: dict[str, object]) -> None:
    assert client.post("/synthesize", json=fields).status_code == 422
    assert client.post("/synthesize/parallel", json=fields).status_code == 422


def test_an_output_that_is_not_there(client: httpx.Client) -> None:
    assert client.get("/outputs/nothing.wav").status_code == 404
    assert client.get("/outputs/..%2f..%2fetc%2fpasswd").status_code == 404


def test_the_python_client(stack: str) -> None:
    with Talkie(stack) as talkie:
        assert len(samples(talkie.synthesize("Good morning!", language="English"))) > 10_000
        with pytest.raises(RemoteError, match="style"):
            talkie.synthesize("Hi", style="Sarcastic")
        texts = ["One.", "Two, which is longer than one.", "Three."]
        one, two, three = map(samples, asyncio.run(talkie.synthesize_parallel(texts, language="English")))
        assert len(two) > max(len(one), len(three))
