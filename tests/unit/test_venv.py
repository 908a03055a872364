"""scripts/venv.sh, with a Python that only pretends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
[ "$*" = "-m venv --clear .venv" ] || exit 0
mkdir -p .venv/bin
rm -rf .venv/bin/*
cp "$0" .venv/bin/python
echo "$PWD/.venv" > .venv/bin/activate
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without a .venv of its own, and `bin` beside it where Python is found."""
    for folder in ("checkout/services", "checkout/scripts", "checkout/tests", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    (tmp_path / "bin" / "python3.12").write_text(PYTHON)
    (tmp_path / "bin" / "python3.12").chmod(0o755)
    return tmp_path / "checkout"


def ensure_venv(checkout: Path) -> str:
    """Run it, and return what it tells."""
    script = f'set -eu; . "{ROOT}/scripts/venv.sh"; ensure_venv "{checkout}" ""'
    environment = os.environ | {"PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], check=True, env=environment, capture_output=True, text=True, timeout=60
    )
    return done.stderr


def test_it_is_made_once_and_again_when_the_checkout_was_moved(checkout: Path) -> None:
    assert "Making" in ensure_venv(checkout)
    assert ensure_venv(checkout) == ""
    moved = checkout.rename(checkout.with_name("moved"))
    assert "Making" in ensure_venv(moved)


def test_one_of_another_checkout_that_a_link_leads_to_is_left_alone(checkout: Path) -> None:
    theirs = checkout.with_name("theirs") / ".venv" / "bin"
    theirs.mkdir(parents=True)
    (theirs / "python").symlink_to(checkout.parent / "bin" / "python3.12")
    (theirs / "activate").write_text(str(theirs.parent.parent))
    (checkout / ".venv").symlink_to(theirs.parent)
    assert "Making" in ensure_venv(checkout)
    assert not (checkout / ".venv").is_symlink()
    assert (theirs / "activate").read_text() == str(theirs.parent.parent)
