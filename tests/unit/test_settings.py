"""Settings that services share: their names, and who wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.avatar.settings import AvatarSettings
from services.chassis.settings import ServiceSettings
from services.gateway.settings import GatewaySettings
from services.tts.settings import TtsSettings

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, type[ServiceSettings]] = {"TTS": TtsSettings, "AVATAR": AvatarSettings, "GATEWAY": GatewaySettings}
FOLDERS = ("AVATAR_DIR", "AVATAR_AVATAR_DIR", "VIDEO_AVATAR_DIR", "MODELS_DIR", "AVATAR_MODELS_DIR", "TTS_MODELS_DIR")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder of one's own, with nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in (*FOLDERS, "LOG_LEVEL", *(f"{prefix}_LOG_LEVEL" for prefix in SETTINGS)):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("prefix", SETTINGS)
def test_one_log_level_is_for_all_and_a_services_own_comes_first(prefix: str, elsewhere: Path) -> None:
    assert SETTINGS[prefix]().log_level == "INFO"
    (elsewhere / ".env").write_text("LOG_LEVEL=ERROR\n")
    assert SETTINGS[prefix]().log_level == "ERROR"
    (elsewhere / ".env").write_text(f"LOG_LEVEL=ERROR\n{prefix}_LOG_LEVEL=debug\n")
    levels = {other: kind().log_level for other, kind in SETTINGS.items()}
    assert levels == dict.fromkeys(SETTINGS, "ERROR") | {prefix: "debug"}


def test_a_log_level_of_another_program_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    with pytest.raises(ValidationError, match="LOG_LEVEL"):
        GatewaySettings()


def test_folders_are_those_of_the_checkout_from_anywhere_unless_the_file_says_otherwise(elsewhere: Path) -> None:
    assert (AvatarSettings().avatar_dir, AvatarSettings().models_dir) == (ROOT / "avatars", ROOT / "models")
    assert TtsSettings().models_dir == ROOT / "models"
    (elsewhere / ".env").write_text("VIDEO_AVATAR_DIR=people\nMODELS_DIR=weights\n")
    assert (AvatarSettings().avatar_dir, AvatarSettings().models_dir) == (Path("people"), Path("weights"))
    assert TtsSettings().models_dir == Path("weights")
