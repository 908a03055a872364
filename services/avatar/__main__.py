"""Runs the avatar service alone: `python -m services.avatar`."""

from __future__ import annotations

from services.avatar.app import create_app
from services.avatar.settings import AvatarSettings
from services.chassis.server import run_service

if __name__ == "__main__":
    avatar_settings = AvatarSettings()
    run_service(create_app(avatar_settings), avatar_settings)
