"""The lip-sync engines by name. An engine's libraries are imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.avatar.engine import LipSyncEngine
from services.avatar.settings import AvatarSettings, EngineName


def _portrait(settings: AvatarSettings) -> LipSyncEngine:
    from services.avatar.engines.portrait.engine import PortraitEngine

    return PortraitEngine()


ENGINES: Mapping[EngineName, Callable[[AvatarSettings], LipSyncEngine]] = {"portrait": _portrait}
"""Each makes its engine, loaded and ready. Blocking."""
