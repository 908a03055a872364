"""Pictures from strangers: checked before they are decoded, and small once they are."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from services.avatar.engine import Image
from services.contract.errors import InvalidRequest, TooLarge, UnsupportedMedia

LONGEST_SIDE_PX = 2048
SHORTEST_SIDE_PX = 64

_FORMATS = ("PNG", "JPEG", "WEBP")
_ORIENTATION_TAG = 0x0112
_LYING_ORIENTATIONS = range(5, 9)
_PAPER = (236, 236, 236)
"""What shows through transparent pictures."""


def decode_picture(data: bytes, most_pixels: int) -> Image:
    """Return a PNG, JPEG or WebP upright, in BGR, its longest side 2048 px at most.

    Raises `UnsupportedMedia` when `data` is no such picture, `TooLarge` when it has more than
    `most_pixels` (nothing is decoded then), `InvalidRequest` when it is animated, tiny or damaged.
    """
    with _opened(data, most_pixels) as picture:
        picture.draft("RGB", (LONGEST_SIDE_PX, LONGEST_SIDE_PX))  # a JPEG can be decoded small at once
        upright = _in_colour(ImageOps.exif_transpose(picture))
        upright.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Pillow.Resampling.LANCZOS)
        return np.ascontiguousarray(np.asarray(upright)[..., ::-1])


def picture_size(data: bytes, most_pixels: int) -> tuple[int, int]:
    """Return width and height `decode_picture` will give, without decoding. Raises the same errors."""
    with _opened(data, most_pixels) as picture:
        width, height = picture.size
        if picture.getexif().get(_ORIENTATION_TAG) in _LYING_ORIENTATIONS:
            width, height = height, width
    scale = min(1.0, LONGEST_SIDE_PX / max(width, height))
    return round(width * scale), round(height * scale)


def jpeg_preview(picture: Image, longest_side_px: int) -> bytes:
    """Return a small JPEG of `picture`."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest_side_px / max(width, height))
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


@contextmanager
def _opened(data: bytes, most_pixels: int) -> Iterator[Pillow.Image]:
    """Give the picture with only its header read; whatever breaks while it is read is told as an error of ours."""
    try:
        with warnings.catch_warnings():
            # The limit is ours, below; Pillow's own warning would only be noise.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            picture = Pillow.open(io.BytesIO(data), formats=_FORMATS)
    except Pillow.DecompressionBombError as error:
        raise TooLarge(f"The picture has more than {most_pixels // 10**6} megapixels; send a smaller one.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise UnsupportedMedia("This is not a picture we can read; send a PNG, JPEG or WebP file.") from error
    with picture:
        _check(picture, most_pixels)
        try:
            yield picture
        except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
            raise InvalidRequest("The picture is damaged or was cut short; send it again, whole.") from error


def _check(picture: Pillow.Image, most_pixels: int) -> None:
    width, height = picture.size
    if width * height > most_pixels:
        raise TooLarge(
            f"The picture has {width}x{height} pixels, more than {most_pixels // 10**6} megapixels; send a smaller one."
        )
    if min(width, height) < SHORTEST_SIDE_PX:
        raise InvalidRequest(f"The picture is only {width}x{height} pixels; send one of 256x256 or more.")
    # Phones hide a second view in their JPEGs; that is no animation.
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        raise InvalidRequest("The picture is animated; send a still one.")


def _in_colour(picture: Pillow.Image) -> Pillow.Image:
    """Return `picture` in RGB: 16-bit greys scaled, transparency laid over paper."""
    if picture.mode.startswith("I"):
        wide = np.asarray(picture).astype(np.uint32)
        picture = Pillow.fromarray((wide >> 8).clip(0, 255).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    cut_out = picture.convert("RGBA")
    paper = Pillow.new("RGBA", cut_out.size, _PAPER)
    return Pillow.alpha_composite(paper, cut_out).convert("RGB")
