"""`python -m services.cli`."""

from __future__ import annotations

from services.cli.main import run

if __name__ == "__main__":
    run()
