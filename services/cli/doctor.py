"""`talkie doctor`: what works here, and what a missing thing needs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.avatar.settings import AvatarSettings
from services.cli import machine, making
from services.cli.findings import Finding, State
from services.tts.settings import TtsSettings

_COLOURS: dict[State, str] = {"works": "green", "missing": "red", "optional": "yellow"}


def examine(console: Console) -> bool:
    """Print the table and return whether the default path works."""
    table = Table("", "state", "details", title="Talkie here")
    healthy = True
    for finding in _findings():
        healthy = healthy and finding.state != "missing"
        table.add_row(finding.what, f"[{_COLOURS[finding.state]}]{finding.state}", escape(finding.detail))
    console.print(table)
    return healthy


def _findings() -> Iterator[Finding]:
    """Look at one thing after the other, the machine first; wrong settings raise pydantic's `ValidationError`."""
    tts, avatar = TtsSettings(), AvatarSettings()
    yield machine.python()
    yield machine.codecs()
    yield machine.ffmpeg()
    yield making.speech(tts)
    yield making.avatars(avatar)
    yield making.lip_sync(avatar)
    yield making.face_models(avatar)
    yield machine.gpu()
    yield machine.redis(tts.redis_url)
