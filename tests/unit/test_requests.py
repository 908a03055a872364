"""One request model, however the fields come; what is wrong with them is said by name."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import httpx
import pytest
from fastapi import Request

from services.contract.errors import InvalidRequest
from services.gateway.requests import VideoAsk, read_video_ask

JSON = {"Content-Type": "application/json"}
FORM = {"text": "Hi.", "avatar": "maya", "fps": "29.97"}


def read(method: str = "POST", **sent: Any) -> VideoAsk:
    """Return what the gateway reads of a request that httpx would send."""
    request = httpx.Request(method, "http://gateway/video/generate", **sent)
    body = request.read()
    scope = {
        "type": "http",
        "method": method,
        "path": request.url.path,
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return asyncio.run(read_video_ask(Request(scope, receive)))


@pytest.mark.parametrize(
    "sent",
    [
        {"json": FORM},
        {"data": FORM},
        {"params": FORM},
        {"data": FORM, "files": {"avatar_image": ("me.jpg", b"picture")}},
        {"params": {"avatar": "maya"}, "json": {"text": "Hi.", "fps": "30000/1001"}},
        {"params": {"text": "not this"}, "json": FORM},
        {"json": FORM | {"voice": None, "speed": None, "aspect": None}},
    ],
    ids=["json", "form", "query", "multipart", "query and json", "the body wins", "nulls"],
)
def test_fields_mean_the_same_however_they_come(sent: dict[str, Any]) -> None:
    asked = read(**sent).request
    assert (asked.text, asked.avatar_name, asked.fps) == ("Hi.", "maya", Fraction(30000, 1001))


def test_the_type_of_a_body_is_read_without_regard_to_case() -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nHi.\r\n--x--\r\n'
    assert read(content=body, headers={"Content-Type": "Multipart/Form-Data; boundary=x"}).request.text == "Hi."


def test_files_are_kept_apart_from_fields() -> None:
    ask = read(data={"text": "Hi."}, files={"avatar_image": ("me.jpg", b"picture"), "ref_audio": ("me.wav", b"sound")})
    assert (ask.avatar_image, ask.ref_audio) == (b"picture", b"sound")
    assert read(json={"text": "Hi."}).avatar_image is None


@pytest.mark.parametrize(
    ("fields", "avatar", "voice"),
    [
        ({}, "", ""),
        ({"avatar": "auto"}, "", ""),
        ({"avatar": "maya", "voice": "male"}, "maya", "male"),
        ({"avatar_path": "maya", "tts_voice": "male"}, "maya", "male"),
        ({"avatar": "maya", "avatar_path": "maya", "voice": "male", "tts_voice": "male"}, "maya", "male"),
    ],
)
def test_old_names_mean_the_new_fields(fields: dict[str, str], avatar: str, voice: str) -> None:
    asked = read(json={"text": "Hi.", **fields}).request
    assert (asked.avatar_name, asked.voice_name) == (avatar, voice)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (512, 512)),
        ({"aspect": "16:9"}, (910, 512)),
        ({"quality": "low"}, (360, 360)),
        ({"quality": "medium", "aspect": "9:16"}, (480, 854)),
        ({"quality": "high", "aspect": "16:9"}, (1280, 720)),
        ({"size": "1920x1080", "quality": "low", "aspect": "9:16"}, (1920, 1080)),
        ({"size": "128x3840"}, (128, 3840)),
    ],
)
def test_frame_sizes(fields: dict[str, str], size: tuple[int, int]) -> None:
    assert read(json={"text": "Hi.", **fields}).request.frame_size == size


@pytest.mark.parametrize(
    ("fields", "frame_skip"),
    [
        ({}, 1),
        ({"quality": "high"}, 1),
        ({"quality": "medium"}, 2),
        ({"quality": "low"}, 3),
        ({"quality": "low", "frame_skip": 1}, 1),
        ({"size": "640x360"}, 1),
    ],
)
def test_quality_says_how_many_mouths_are_generated(fields: dict[str, object], frame_skip: int) -> None:
    assert read(json={"text": "Hi.", **fields}).request.frame_skip == frame_skip


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"json": {}}, "text"),
        ({}, "text"),
        ({"json": {"text": "Hi.", "colour": "red"}}, "colour"),
        ({"json": {"text": "Hi.", "speed": 9}}, "speed"),
        ({"json": {"text": "Hi.", "quality": "best"}}, "quality"),
        ({"json": {"text": "Hi.", "size": "127x128"}}, "size"),
        ({"json": {"text": "Hi.", "size": "3842x128"}}, "size"),
        ({"json": {"text": "Hi.", "size": "١٢٨x128"}}, "size"),
        ({"json": {"text": "Hi.", "size": "1280X720"}}, "1280x720"),
        ({"json": {"text": "Hi.", "fps": "1/0"}}, "fps"),
        ({"json": {"text": "Hi.", "avatar": "maya", "avatar_path": "omar"}}, "two avatars"),
        ({"json": {"text": "Hi.", "voice": "male", "tts_voice": "female"}}, "two voices"),
        ({"data": {"text": "Hi.", "avatar_image": "me.jpg"}}, "avatar_image"),
        ({"data": {"text": "Hi."}, "files": {"image": ("me.jpg", b"x")}}, "avatar_image and ref_audio"),
        ({"content": b"{", "headers": JSON}, "neither JSON nor a form"),
        ({"content": b'["text"]', "headers": JSON}, "JSON object"),
        ({"content": b"[" * 100_000, "headers": JSON}, "neither JSON nor a form"),
        ({"content": b'{"text": "Hi.", "speed": NaN}', "headers": JSON}, "speed"),
        ({"content": b"<text>Hi.</text>", "headers": {"Content-Type": "text/xml"}}, "neither JSON nor a form"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_named(sent: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        read(**sent)
