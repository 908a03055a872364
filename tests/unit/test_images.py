"""Pictures from strangers."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from services.avatar.images import LONGEST_SIDE_PX, decode_picture, jpeg_preview, picture_size
from services.contract.errors import InvalidRequest, ServiceError, TooLarge, UnsupportedMedia

MOST_PIXELS = 50_000_000
RED_OVER_BLUE = np.zeros((120, 80, 3), np.uint8)
RED_OVER_BLUE[:60] = (220, 20, 20)
RED_OVER_BLUE[60:] = (20, 20, 220)


def encoded(picture: Pillow.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def sample(format: str = "PNG", **options: Any) -> bytes:
    return encoded(Pillow.fromarray(RED_OVER_BLUE), format, **options)


def empty_png(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def assert_red_over_blue(data: bytes) -> None:
    picture = decode_picture(data, MOST_PIXELS)
    assert picture.dtype == np.uint8
    assert picture.shape == (120, 80, 3)
    assert picture.flags["C_CONTIGUOUS"]
    top, bottom = picture[20, 40].astype(int), picture[100, 40].astype(int)
    assert np.abs(top - (20, 20, 220)).max() < 12
    assert np.abs(bottom - (220, 20, 20)).max() < 12


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_formats_become_bgr(format: str) -> None:
    assert_red_over_blue(sample(format, quality=95) if format != "PNG" else sample())


def test_palettes_and_cmyk_become_bgr() -> None:
    picture = Pillow.fromarray(RED_OVER_BLUE)
    assert_red_over_blue(encoded(picture.convert("P", palette=Pillow.Palette.ADAPTIVE)))
    assert decode_picture(encoded(picture.convert("CMYK"), "JPEG"), MOST_PIXELS).shape == (120, 80, 3)


def test_exif_orientation_is_applied() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # lies on its left side
    lying = Pillow.fromarray(np.rot90(RED_OVER_BLUE))
    data = encoded(lying, "JPEG", quality=95, exif=exif)
    assert_red_over_blue(data)
    assert picture_size(data, MOST_PIXELS) == (80, 120)


@pytest.mark.parametrize(("mode", "most"), [("L", 255), ("I;16", 65_535)])
def test_greys_keep_their_brightness(mode: str, most: int) -> None:
    grey = np.full((100, 100), int(most * 0.6), np.uint8 if mode == "L" else np.uint16)
    picture = decode_picture(encoded(Pillow.fromarray(grey)), MOST_PIXELS)
    assert picture.shape == (100, 100, 3)
    assert np.abs(picture.astype(int) - 153).max() <= 1


def test_transparency_shows_light_paper() -> None:
    cut_out = np.zeros((100, 100, 4), np.uint8)
    cut_out[30:70, 30:70] = (200, 40, 40, 255)
    picture = decode_picture(encoded(Pillow.fromarray(cut_out)), MOST_PIXELS)
    assert picture[0, 0].min() > 200
    assert picture[50, 50].tolist() == [40, 40, 200]


def test_large_pictures_are_made_small() -> None:
    wide = Pillow.new("RGB", (6_000, 1_500), (90, 120, 150))
    for format in ("PNG", "JPEG"):
        data = encoded(wide, format)
        assert decode_picture(data, MOST_PIXELS).shape == (512, LONGEST_SIDE_PX, 3)
        assert picture_size(data, MOST_PIXELS) == (LONGEST_SIDE_PX, 512)


@pytest.mark.parametrize("side", [8_000, 40_000, 2_000_000])
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    data = empty_png(side, side)
    tracemalloc.start()
    with pytest.raises(TooLarge, match="megapixels"):
        decode_picture(data, MOST_PIXELS)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused_by_name(format: str) -> None:
    with pytest.raises(UnsupportedMedia, match="PNG, JPEG or WebP"):
        decode_picture(sample(format), MOST_PIXELS)


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg></svg>", bytes(10_000), b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        decode_picture(data, MOST_PIXELS)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_animations_are_refused(format: str) -> None:
    frames = [Pillow.new("RGB", (100, 100), (shade, 0, 0)) for shade in (10, 200)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidRequest, match="animated"):
        decode_picture(data, MOST_PIXELS)


def test_tiny_pictures_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="only 40x30"):
        decode_picture(encoded(Pillow.new("RGB", (40, 30))), MOST_PIXELS)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_pictures_cut_short_are_refused(format: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    data = encoded(Pillow.fromarray(noise), format)
    with pytest.raises((InvalidRequest, UnsupportedMedia)):
        decode_picture(data[: int(len(data) * share)], MOST_PIXELS)


@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12))
def test_damage_never_breaks_more_than_the_picture(format: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(sample(format))
    for place, value in changes:
        data[min(int(place * len(data)), len(data) - 1)] = value
    try:
        picture = decode_picture(bytes(data), MOST_PIXELS)
    except ServiceError:
        return
    assert picture.ndim == 3


def test_previews_keep_their_shape() -> None:
    preview = Pillow.open(io.BytesIO(jpeg_preview(np.zeros((1_000, 500, 3), np.uint8), 512)))
    assert (preview.format, preview.size) == ("JPEG", (256, 512))
