"""Runs the tts service alone: `python -m services.tts`."""

from __future__ import annotations

from services.chassis.server import run_service
from services.tts.app import create_app
from services.tts.settings import TtsSettings

if __name__ == "__main__":
    tts_settings = TtsSettings()
    run_service(create_app(tts_settings), tts_settings)
