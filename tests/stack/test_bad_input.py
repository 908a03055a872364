"""Whatever is sent, the answer is a problem that says what to do, and the product lives on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

AVATARS = Path(__file__).parents[2] / "avatars"
PASSWD = "../../etc/passwd"
LONG = "word " * 20_000
PATHS = ("/video/generate", "/video/stream", "/v1/audio/speech")


def huge_png() -> bytes:
    """Return a PNG that says it is 40,000 by 40,000 pixels."""
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


def refused(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert len(problem["detail"]) > 15
    assert problem["status"] == answer.status_code
    assert problem["error"]["message"] == problem["detail"]
    return problem


FIELDS: list[tuple[dict[str, Any], int]] = [
    ({}, 422),
    ({"text": ""}, 422),
    ({"text": "   \n "}, 422),
    ({"text": "…!?"}, 422),
    ({"text": LONG}, 413),
    ({"text": 7}, 422),
    ({"text": ["a", "b"]}, 422),
    ({"text": "Hi.", "voice": "nobody"}, 422),
    ({"text": "Hi.", "voice": PASSWD}, 422),
    ({"text": "Hi.", "voice": "x" * 5000}, 422),
    ({"text": "Hi.", "language": "Klingonese"}, 422),
    ({"text": "Hi.", "avatar": "nobody"}, 404),
    ({"text": "Hi.", "avatar": PASSWD}, 404),
    ({"text": "Hi.", "avatar": "maya", "avatar_path": "omar"}, 422),
    ({"text": None}, 422),
    ({"text": "Hi.", "language": PASSWD}, 422),
    ({"text": "Hi.", "tts_engine": PASSWD}, 422),
    ({"text": "Hi.", "avatar": ["maya"]}, 422),
    ({"text": "Hi.", "ref_audio": PASSWD}, 422),
    ({"text": "Hi.", "ref_audio": "my-voice", "ref_text": "Hello."}, 422),
    ({"text": "Hi.", "tts_engine": "other"}, 422),
    ({"text": "Hi.", "model_size": "9b"}, 422),
    ({"text": "Hi.", "size": "99999x2"}, 422),
    ({"text": "Hi.", "size": "big"}, 422),
    ({"text": "Hi.", "size": "513x512"}, 422),
    ({"text": "Hi.", "fps": "1000"}, 422),
    ({"text": "Hi.", "fps": "nan"}, 422),
    ({"text": "Hi.", "speed": 0}, 422),
    ({"text": "Hi.", "quality": "best"}, 422),
    ({"text": "Hi.", "colour": "red"}, 422),
]


@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize(("fields", "status"), FIELDS, ids=lambda value: str(value)[:50])
def test_bad_fields_of_a_film(client: httpx.Client, path: str, fields: dict[str, Any], status: int) -> None:
    refused(client.post(path, json=fields), status)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"input": ""}, 422),
        ({"input": LONG}, 413),
        ({"input": "…!?"}, 422),
        ({"input": 7}, 422),
        ({"input": "Hi.", "voice": "nobody"}, 422),
        ({"input": "Hi.", "voice": PASSWD}, 422),
        ({"input": "Hi.", "voice": ["female"]}, 422),
        ({"input": "Hi.", "ref_audio": PASSWD}, 422),
        ({"input": "Hi.", "response_format": "ogg"}, 422),
        ({"input": "Hi.", "speed": 9}, 422),
        ({"input": "Hi.", "ref_audio": "nobody"}, 422),
        ({"input": "Hi.", "ref_audio": "https://example.com/voice.wav"}, 422),
        ({"input": "Hi.", "ref_audio": "data:audio/wav;base64,!!!"}, 422),
        ({"input": "Hi.", "ref_text": "said by nobody"}, 422),
        ({"input": "Hi.", "model_size": "9b"}, 422),
        ({"input": "Hi.", "generation_params": {"temperature": 3}}, 422),
        ({"input": "Hi.", "colour": "red"}, 422),
        ({"input": "Hi.", "language": "Klingonese"}, 422),
    ],
    ids=lambda value: str(value)[:50],
)
def test_bad_fields_of_speech(client: httpx.Client, fields: dict[str, Any], status: int) -> None:
    refused(client.post("/v1/audio/speech", json=fields), status)


@pytest.mark.parametrize("text", ["<speak><shout>Hi</shout></speak>", "…!?", "  ", LONG], ids=lambda text: text[:12])
@pytest.mark.parametrize(
    ("path", "field"),
    [("/v1/audio/speech", "input"), ("/synthesize", "text"), ("/tts/voice_clone", "text"), ("/video/generate", "text")],
)
def test_the_text_is_called_as_the_client_calls_it(client: httpx.Client, path: str, field: str, text: str) -> None:
    problem = refused(client.post(path, json={field: text}), 413, 422)
    assert problem["param"] == field
    assert problem["detail"].startswith((f"{field}:", "<shout>"))


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[2J\x07 hello", "\U0001f600 hello", "\u202ehello"], ids=repr)
def test_odd_characters_are_cleaned_or_refused_never_a_failure(client: httpx.Client, text: str) -> None:
    answer = client.post("/v1/audio/speech", json={"input": text, "response_format": "pcm"})
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'"text"', b"\xff\xfe\x00", b'{"text": "\\ud800"}', b"[" * 200_000],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("path", PATHS)
def test_bodies_that_are_no_request(client: httpx.Client, path: str, body: bytes) -> None:
    refused(client.post(path, content=body, headers={"Content-Type": "application/json"}), 422)


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "multipart/form-data", "text/xml"])
@pytest.mark.parametrize("path", PATHS)
def test_bodies_of_another_kind(client: httpx.Client, path: str, content_type: str) -> None:
    refused(client.post(path, content=b"\x00\xff<a/>", headers={"Content-Type": content_type}), 422)


@pytest.mark.parametrize("name", ["ref_audio", "portrait"])
def test_files_that_are_of_no_use_here(client: httpx.Client, name: str) -> None:
    answer = client.post("/video/generate", data={"text": "Hi."}, files={name: ("me.wav", b"RIFF")})
    assert name in refused(answer, 415, 422)["detail"]


@pytest.mark.parametrize(
    "picture",
    [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(100), huge_png(), b"\xff\xd8\xff\xe0" + bytes(5000)],
    ids=["empty", "text", "broken png", "40,000 squared", "broken jpeg"],
)
def test_pictures_that_are_none(client: httpx.Client, picture: bytes) -> None:
    answer = client.post("/video/generate", data={"text": "Hi."}, files={"avatar_image": ("me.png", picture)})
    refused(answer, 413, 415, 422)


def test_a_picture_without_a_face_is_refused_with_advice(client: httpx.Client) -> None:
    wall = (AVATARS / "maya" / "background.jpg").read_bytes()
    answer = client.post("/video/generate", data={"text": "Hi."}, files={"avatar_image": ("me.jpg", wall)})
    assert refused(answer, 422)["code"] == "unsuitable_face"


def test_names_of_new_avatars_are_never_paths(client: httpx.Client) -> None:
    before = sorted(path.name for path in AVATARS.iterdir())
    picture = client.get("/video/avatars/kenji/portrait").content
    for name in (PASSWD, "a/b", "", ".", "..", "a\x00b", "x" * 500):
        answer = client.post("/video/avatars", data={"name": name}, files={"image": ("me.jpg", picture)})
        refused(answer, 404, 422)
    assert client.get(f"/video/avatars/{PASSWD.replace('/', '%2F')}/portrait").status_code in (404, 422)
    assert sorted(path.name for path in AVATARS.iterdir()) == before


def test_overlong_uploads_are_cut_off(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="avatar_image"; filename="f"\r\n\r\n'
        for _ in range(500):
            yield bytes(1024 * 1024)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(client.post("/video/generate", content=endless(), headers=headers), 413)


def test_an_upload_that_is_declared_too_long_is_refused_unread(stack: str) -> None:
    connection = HTTPConnection(stack.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/video/generate")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(500 * 1024**2))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    connection.close()


def test_after_all_that_a_film_is_made(client: httpx.Client) -> None:
    assert client.post("/video/generate", json={"text": "Still here.", "size": "128x128"}).status_code == 200
