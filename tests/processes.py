"""The product as a process of its own, started and stopped as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

COMMAND = (sys.executable, "-m", "services.cli", "up")


@contextmanager
def running_stack(*command: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run `command`, by default the stack on a free port; give its URL, and see that SIGTERM ends it cleanly."""
    process = subprocess.Popen(
        command or (*COMMAND, "--port", "0"),
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    )
    assert process.stderr is not None
    try:
        started = next((line for line in process.stderr if "Talkie is at" in line), "")
        assert started, "the stack did not start"
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield started.split()[-1]
    finally:
        process.terminate()
        assert process.wait(60) == 0
    drain.join(5)
