"""The avatar service alone, over real HTTP: the library, with real face finding."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from services.avatar.app import create_app
from services.avatar.engine import Image
from services.avatar.settings import AvatarSettings
from services.chassis.server import serve
from services.contract.video import AvatarInfo
from tests.service.card import CardEngine

MODELS_DIR = Path("models").resolve()
Visit = Callable[[httpx.AsyncClient], Awaitable[None]]


def encoded(picture: Image, kind: str = ".jpg") -> bytes:
    return cv2.imencode(kind, picture)[1].tobytes()


PHOTO = cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR), None, fx=2, fy=2)
PHOTO_JPEG = encoded(PHOTO)


def huge_png() -> bytes:
    """40,000 x 40,000 white pixels in 200 kB."""
    file = io.BytesIO()
    Pillow.new("1", (40_000, 40_000), 1).save(file, "PNG")
    return file.getvalue()


@asynccontextmanager
async def service(folder: Path, **fields: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = AvatarSettings(port=0, avatar_dir=folder, models_dir=MODELS_DIR, **fields)
    app = create_app(settings, CardEngine() if settings.engine == "portrait" else None)
    async with serve(app, settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


def with_service(folder: Path, visit: Visit, **fields: Any) -> None:
    async def run() -> None:
        async with service(folder, **fields) as client:
            await visit(client)

    asyncio.run(run())


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


async def names(client: httpx.AsyncClient) -> list[str]:
    return [info["name"] for info in (await client.get("/v1/avatars")).json()]


async def speaks(client: httpx.AsyncClient, name: str) -> bool:
    answer = await client.post(
        "/v1/lipsync",
        params={"avatar": name, "width": 128, "height": 128},
        content=bytes(9_600),
        headers={"Content-Type": "audio/L16; rate=48000"},
    )
    return answer.status_code == 200


def test_a_picture_becomes_an_avatar_that_speaks_and_goes(tmp_path: Path) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/avatars?name=me&keep=true", files={"picture": ("me.jpg", PHOTO_JPEG)})
        assert answer.status_code == 201, answer.text
        info = AvatarInfo.model_validate(answer.json())
        assert (info.name, info.width, info.height, info.warnings) == ("me", 1_024, 1_024, [])
        assert await names(client) == ["me"]
        assert await speaks(client, "me")
        preview = await client.get("/v1/avatars/me/portrait")
        assert preview.headers["content-type"] == "image/jpeg"
        assert Pillow.open(io.BytesIO(preview.content)).size == (512, 512)
        taken = await client.post("/v1/avatars?name=me&keep=true", content=PHOTO_JPEG)
        assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
        assert (await client.delete("/v1/avatars/me")).status_code == 204
        assert await names(client) == []
        assert (await client.get("/v1/avatars/me/portrait")).status_code == 404

    with_service(tmp_path, visit)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", ""])
def test_an_upload_is_remembered_in_memory_only(tmp_path: Path, content_type: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": content_type}
        first = await client.post("/v1/avatars", content=PHOTO_JPEG, headers=headers)
        again = await client.post("/v1/avatars?keep=false", content=PHOTO_JPEG, headers=headers)
        assert first.json() == again.json()
        name = first.json()["name"]
        assert name.startswith("upload-")
        assert await speaks(client, name)
        assert (await client.get(f"/v1/avatars/{name}/portrait")).status_code == 200
        assert await names(client) == []

    with_service(tmp_path, visit)
    assert files_below(tmp_path) == []


def test_a_picture_laid_into_the_folder_speaks(tmp_path: Path) -> None:
    (tmp_path / "interviewer.jpg").write_bytes(PHOTO_JPEG)

    async def visit(client: httpx.AsyncClient) -> None:
        assert await names(client) == ["interviewer.jpg"]
        assert await speaks(client, "interviewer.jpg")
        assert (await client.delete("/v1/avatars/interviewer.jpg")).status_code == 422

    with_service(tmp_path, visit)
    assert files_below(tmp_path) == ["interviewer.jpg"]


BAD_UPLOADS: list[tuple[str, bytes, int, str]] = [
    ("", b"", 422, "no picture"),
    ("", b"not a picture at all", 415, "PNG, JPEG or WebP"),
    ("", bytes(100_000), 415, "PNG, JPEG or WebP"),
    ("", b"GIF89a" + bytes(1_000), 415, "PNG, JPEG or WebP"),
    ("", PHOTO_JPEG[:20_000], 422, "cut short"),
    ("", huge_png(), 413, "megapixels"),
    ("", bytes(21 * 1024 * 1024), 413, "MiB"),
    ("", encoded(np.full((300, 300, 3), 90, np.uint8)), 422, "no face"),
    ("", encoded(np.hstack([PHOTO, PHOTO[:, ::-1], PHOTO])), 422, "3 faces"),
    ("", encoded(np.ascontiguousarray(PHOTO[::12, ::12])), 422, "face"),
    ("name=me", PHOTO_JPEG, 422, "keep"),
    ("keep=true", PHOTO_JPEG, 422, "name"),
    ("keep=perhaps", PHOTO_JPEG, 422, "keep"),
    ("colour=red", PHOTO_JPEG, 422, "colour"),
    ("keep=true&name=..%2F..%2Fetc%2Fpasswd", PHOTO_JPEG, 422, "name"),
    ("keep=true&name=%00", PHOTO_JPEG, 422, "name"),
    ("keep=true&name=upload-1", PHOTO_JPEG, 422, "name"),
    ("keep=true&name=" + "x" * 65, PHOTO_JPEG, 422, "name"),
    ("keep=true&name=" + "x" * 10_000, PHOTO_JPEG, 422, "name"),
    ("keep=true&name=torn", PHOTO_JPEG[:20_000], 422, "cut short"),
    ("keep=true&name=empty", encoded(np.full((300, 300, 3), 90, np.uint8)), 422, "no face"),
]


def test_bad_uploads_are_told_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, temporary = tmp_path / "avatars", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    async def visit(client: httpx.AsyncClient) -> None:
        for query, body, status, told in BAD_UPLOADS:
            answer = await client.post(f"/v1/avatars?{query}", content=body)
            assert answer.status_code == status, (query, body[:40], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert told in answer.json()["detail"]
        assert await names(client) == []

    with_service(folder, visit)
    assert files_below(tmp_path) == ["temporary"]


BAD_FORMS: list[tuple[dict[str, Any], int]] = [
    ({"files": {"photo": ("me.jpg", PHOTO_JPEG)}}, 422),
    ({"files": {"picture": ("me.jpg", b"")}}, 422),
    ({"files": {"picture": ("me.jpg", bytes(21 * 1024 * 1024))}}, 413),
    ({"files": [("picture", ("a.jpg", PHOTO_JPEG)), ("picture", ("b.jpg", PHOTO_JPEG))]}, 422),
    ({"files": {"picture": ("me.jpg", PHOTO_JPEG)}, "data": {"colour": "red"}}, 422),
    ({"content": b"no form", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
    ({"content": b"no form", "headers": {"Content-Type": "multipart/form-data"}}, 422),
]


def test_bad_forms_are_told(tmp_path: Path) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for form, status in BAD_FORMS:
            answer = await client.post("/v1/avatars", **form)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"

    with_service(tmp_path, visit)


@pytest.mark.parametrize("name", ["nobody", "..", "..%2f..%2fetc%2fpasswd", "a%00b", "a%5cb", "x" * 1_000])
def test_names_lead_nowhere(tmp_path: Path, name: str) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        for answer in (
            await client.get(f"/v1/avatars/{name}/portrait"),
            await client.delete(f"/v1/avatars/{name}"),
        ):
            assert answer.status_code in (404, 405, 422)
            assert answer.headers["content-type"] == "application/problem+json"

    with_service(tmp_path, visit)
    assert files_below(tmp_path) == []


def test_an_upload_of_no_declared_length_is_limited_too(tmp_path: Path) -> None:
    async def many_pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(1024 * 1024)

    async def visit(client: httpx.AsyncClient) -> None:
        for query in ("", "?keep=true&name=me"):
            answer = await client.post(f"/v1/avatars{query}", content=many_pieces())
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    with_service(tmp_path, visit, max_body_bytes=4 * 1024 * 1024)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells the resident size this way")
def test_memory_stays_flat_over_bad_uploads(tmp_path: Path) -> None:
    bad = [huge_png(), encoded(np.zeros((2_000, 2_000, 3), np.uint8), ".png"), PHOTO_JPEG[:20_000], bytes(5_000_000)]
    many_faces = encoded(np.hstack([PHOTO, PHOTO]))

    async def visit(client: httpx.AsyncClient) -> None:
        async def round_of_uploads() -> None:
            for body in [*bad, many_faces]:
                assert (await client.post("/v1/avatars", content=body)).status_code >= 400

        for _ in range(2):
            await round_of_uploads()
        before = resident_bytes()
        for _ in range(6):
            await round_of_uploads()
        assert resident_bytes() - before < 30_000_000

    with_service(tmp_path, visit)


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
