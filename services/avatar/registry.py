"""The lip-sync engines by name. An engine's libraries are imported only when it is asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

from services.avatar.engine import LipSyncEngine
from services.avatar.settings import AvatarSettings, EngineName
from services.contract.errors import Unavailable


def _portrait(settings: AvatarSettings) -> LipSyncEngine:
    from services.avatar.engines.portrait.engine import PortraitEngine

    return PortraitEngine()


def _musetalk(settings: AvatarSettings) -> LipSyncEngine:
    for name in ("torch", "diffusers", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise Unavailable(f"The musetalk engine needs {name}; run `scripts/install-engine musetalk`.")
    from services.avatar.engines.musetalk.making import make_musetalk

    return make_musetalk(settings)


ENGINES: Mapping[EngineName, Callable[[AvatarSettings], LipSyncEngine]] = {"portrait": _portrait, "musetalk": _musetalk}
"""Each makes its engine, loaded and ready. Blocking."""
