"""`python -m scripts.artwork`: draws everybody into avatars/. Needs the artwork extra, and pip for the face mesh."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import cv2
import numpy as np

from scripts.artwork.brush import DESIGN_SIZE
from scripts.artwork.landmarks import place_features
from scripts.artwork.people import cast
from scripts.artwork.person import Person
from scripts.artwork.portrait import Pixels, closed_eyes_patch, draw_backdrop, draw_portrait
from services.avatar.artwork import AVATAR_FILE, BACKGROUND, CLOSED_EYES, PORTRAIT, AvatarFile
from services.avatar.face.finder import MeshFaceFinder

SIZE_PX = 1536
_LICENSE = "CC0-1.0"
_JPEG_QUALITY = 93

_log = logging.getLogger("artwork")


def draw(person: Person, avatars: Path, faces: MeshFaceFinder) -> None:
    """Draw one person into a folder of their own."""
    folder = avatars / person.name
    folder.mkdir(parents=True, exist_ok=True)
    opened, closed = draw_portrait(person, SIZE_PX), draw_portrait(person, SIZE_PX, closed=True)
    backdrop = draw_backdrop(person, SIZE_PX)
    mesh = faces.find(_over_middle(opened, backdrop)).landmarks
    landmarks = place_features(mesh, person, SIZE_PX / DESIGN_SIZE)
    about = AvatarFile(
        title=person.title,
        license=_LICENSE,
        voice=person.voice,
        landmarks=tuple((x, y, z) for x, y, z in np.round(landmarks.astype(float), 1).tolist()),
    )
    (folder / AVATAR_FILE).write_text(about.model_dump_json(exclude_defaults=True) + "\n", "utf-8")
    cv2.imwrite(str(folder / PORTRAIT), opened, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(folder / CLOSED_EYES), closed_eyes_patch(opened, closed), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(folder / BACKGROUND), backdrop, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    _log.info("drew %s", person.name)


def _over_middle(person: Pixels, backdrop: Pixels) -> Pixels:
    left = (backdrop.shape[1] - person.shape[1]) // 2
    behind = backdrop[:, left : left + person.shape[1]]
    opacity = person[..., 3:].astype(np.float32) / 255
    return np.rint(person[..., :3] * opacity + behind * (1 - opacity)).astype(np.uint8)


def main() -> None:
    """Draw the cast, or only the people named on the command line."""
    logging.basicConfig(level=logging.INFO)
    root = Path(__file__).parent.parent.parent
    faces = MeshFaceFinder(root / "models")
    for person in cast():
        if len(sys.argv) == 1 or person.name in sys.argv[1:]:
            draw(person, root / "avatars", faces)


if __name__ == "__main__":
    main()
