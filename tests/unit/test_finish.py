"""A finished film is its fragments with the index in front, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile

import av
import imageio_ffmpeg
import pytest

from services.gateway.finish import faststart, gather, pieces, size_bytes
from tests.stack.films import boxes, decode


def fragmented(duration_s: int) -> bytes:
    """Return a moving picture and a tone as FFmpeg itself fragments them."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=128x128:rate=30000/1001:duration={duration_s}"]
    sound = ["-f", "lavfi", "-i", f"sine=440:sample_rate=48000:duration={duration_s}"]
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-bf", "0", "-c:a", "aac"]
    container = ["-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-g", "15", "pipe:1"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *picture, *sound, *codecs, *container]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def film() -> bytes:
    """Two seconds in several fragments."""
    return fragmented(2)


def packets(data: bytes) -> list[tuple[int, float, bytes]]:
    """Return every packet's stream, time and bytes, as they follow each other in each stream."""
    with av.open(io.BytesIO(data)) as opened:
        found = [packet for packet in opened.demux() if packet.dts is not None]
        return sorted((p.stream.index, float(p.pts * p.time_base), bytes(p)) for p in found)


def test_the_index_comes_first_and_no_fragment_is_left(film: bytes) -> None:
    kinds = [box.kind for box in boxes(faststart(io.BytesIO(film)).read())]
    assert {"moof", "mdat"} <= {box.kind for box in boxes(film)}
    assert kinds.index("moov") < kinds.index("mdat")
    assert kinds.count("mdat") == 1
    assert "moof" not in kinds


@pytest.mark.parametrize("duration_s", [1, 30])
def test_every_packet_is_kept_at_its_time(duration_s: int) -> None:
    film = fragmented(duration_s)
    assert packets(faststart(io.BytesIO(film)).read()) == packets(film)


def test_pictures_are_the_same(film: bytes) -> None:
    before, after = decode(film), decode(faststart(io.BytesIO(film)).read())
    assert before.times_s == after.times_s
    assert all((old == new).all() for old, new in zip(before.frames, after.frames, strict=True))


def test_the_same_fragments_make_the_same_bytes(film: bytes) -> None:
    assert faststart(io.BytesIO(film)).read() == faststart(io.BytesIO(film)).read()


def test_files_are_closed_when_they_are_read(film: bytes) -> None:
    fragments = io.BytesIO(film)
    finished = faststart(fragments)
    assert fragments.closed
    length = size_bytes(finished)
    assert sum(map(len, pieces(finished))) == length
    assert finished.closed


def test_what_is_no_film_is_refused_and_closed() -> None:
    fragments = io.BytesIO(bytes(1000))
    with pytest.raises(av.FFmpegError):
        faststart(fragments)
    assert fragments.closed


def test_fragments_are_gathered_in_order() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    assert asyncio.run(gather(parts())).read() == b"abc"


def test_a_film_that_breaks_off_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SpooledTemporaryFile[bytes]] = []

    def remembered(most_bytes: int) -> SpooledTemporaryFile[bytes]:
        made.append(SpooledTemporaryFile(most_bytes))  # noqa: SIM115 - whether it is closed is the question
        return made[-1]

    async def parts() -> AsyncIterator[bytes]:
        yield b"ab"
        raise ValueError("the engine broke")

    monkeypatch.setattr("services.gateway.finish.SpooledTemporaryFile", remembered)
    with pytest.raises(ValueError, match="the engine broke"):
        asyncio.run(gather(parts()))
    assert [file.closed for file in made] == [True]
