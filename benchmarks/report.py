"""Shows what a benchmark found, and keeps it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")


def report(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print `rows` as a table and write them to results/<name>.json with where and when they came to be."""
    table = Table(*rows[0], title=name)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=max(160, Console().width)).print(table)
    RESULTS.mkdir(exist_ok=True)
    measured = {
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
