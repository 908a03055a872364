"""What films are made with, tried out: the engines, the avatars, the face finder."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

from services.avatar.engine import FrameSize
from services.avatar.face.finder import MeshFaceFinder
from services.avatar.face.models import FILES
from services.avatar.library import AvatarLibrary
from services.avatar.registry import ENGINES as LIP_SYNC_ENGINES
from services.avatar.settings import AvatarSettings
from services.cli.findings import Finding
from services.contract.errors import ServiceError
from services.contract.speech import SAMPLE_BYTES, AudioChunk
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.tts.registry import make_engine
from services.tts.settings import TtsSettings

_SILENCE = AudioChunk(bytes(FILM_SAMPLE_RATE_HZ * SAMPLE_BYTES), FILM_SAMPLE_RATE_HZ)
_SMALL = FrameSize(256, 256)


def speech(settings: TtsSettings) -> Finding:
    """Let the speech engine say a word."""
    what = f"{settings.engine} speaks"
    try:
        with closing(make_engine(settings.engine, settings)) as engine:
            engine.warm_up()
            return Finding(what, "works", f"{len(engine.languages())} languages, {engine.revision}")
    except (ServiceError, OSError) as error:
        return Finding(what, "missing", str(error))


def avatars(settings: AvatarSettings) -> Finding:
    """Look who is there."""
    names = [info.name for info in _library(settings).list()]
    if not names:
        folder = settings.avatar_dir.resolve()
        return Finding("avatars", "missing", f"none in {folder}; set AVATAR_DIR or run from the checkout")
    return Finding("avatars", "works", ", ".join(names))


def lip_sync(settings: AvatarSettings) -> Finding:
    """Animate the first avatar for a second."""
    what = f"{settings.engine} animates"
    library = _library(settings)
    names = [info.name for info in library.list()]
    if not names:
        return Finding(what, "missing", "nobody to animate")
    try:
        with closing(LIP_SYNC_ENGINES[settings.engine](settings)) as engine:
            track = engine.prepare(library.find(names[0]).source, _SMALL)
            frames = sum(1 for _ in engine.render(track, _SILENCE, 0, Fraction(25)))
            return Finding(what, "works", f"{frames} frames of {names[0]}, {engine.revision}")
    except ServiceError as error:
        return Finding(what, "missing", str(error))


def face_models(settings: AvatarSettings) -> Finding:
    """Look for the files that find the face in a new picture."""
    folder = settings.models_dir / "face"
    absent = [file.name for file in FILES if not (folder / file.name).is_file()]
    if absent:
        return Finding("face finder", "optional", "fetched with pip when the first picture is added")
    return Finding("face finder", "works", f"{len(FILES)} model files in {folder.resolve()}")


def _library(settings: AvatarSettings) -> AvatarLibrary:
    return AvatarLibrary(settings, MeshFaceFinder(settings.models_dir))
