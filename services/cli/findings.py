"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["works", "missing", "optional"]


@dataclass(frozen=True)
class Finding:
    """One line of the table; only `missing` keeps the default path from working."""

    what: str
    state: State
    detail: str
