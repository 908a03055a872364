"""`python -m services` is `talkie up`: the whole stack in one process."""

from __future__ import annotations

import sys

from services.cli.main import run

if __name__ == "__main__":
    run("up", *sys.argv[1:])
