"""Fetches the model files of the face module: `python -m services.avatar.face`."""

from __future__ import annotations

import logging

from services.avatar.face.models import load_models
from services.avatar.settings import AvatarSettings
from services.chassis.logs import configure_logging

if __name__ == "__main__":
    settings = AvatarSettings()
    configure_logging(settings.log_level)
    folder = settings.models_dir / "face"
    load_models(folder)
    logging.getLogger("services.avatar.face").info("the face models are in %s", folder.resolve())
