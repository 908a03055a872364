"""Prepares an avatar before anybody asks for it, because the first film should not wait for that."""

from __future__ import annotations

import logging

from services.avatar.engine import FrameSize
from services.avatar.library import AvatarLibrary
from services.avatar.lipsync import LipSync
from services.avatar.settings import AvatarSettings
from services.contract.errors import ServiceError

_log = logging.getLogger(__name__)

FIRST = "auto"


def warm_up(settings: AvatarSettings, library: AvatarLibrary, lip_sync: LipSync) -> None:
    """Prepare the avatar that `settings` name. Blocking; one that cannot be prepared is logged, not raised."""
    name = settings.warm_avatar
    if name == FIRST:
        name = next((info.name for info in library.list()), "")
    if not name:
        return
    try:
        lip_sync.prepare(library.find(name).source, FrameSize(settings.warm_width, settings.warm_height))
    except ServiceError as error:
        _log.info("%s was not prepared at start: %s", name, error)
