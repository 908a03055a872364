"""The outer boundary of every command: what keeps it from working is told in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from services.contract.errors import ServiceError

_SETTINGS = "Settings"


@contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """Exit with status 1 after telling what a service refused or which setting is wrong."""
    try:
        yield
    except ServiceError as error:
        _tell(error.title, error.detail)
    except ValidationError as error:
        if not error.title.endswith(_SETTINGS):
            raise
        _tell("Invalid setting", wrong_setting(error))


def wrong_setting(error: ValidationError) -> str:
    """Return what is wrong with the first wrong setting, by its name in the environment."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name.islower():  # a field; aliases are told as they stand in the environment
        name = f"{error.title.removesuffix(_SETTINGS)}_{name}".upper()
    return f"{name}={first['input']}: {first['msg']}."


def _tell(title: str, detail: str) -> None:
    console = Console(stderr=True, highlight=False)
    console.print(f"[red]{title}:[/red] {escape(detail)}", soft_wrap=True)
    sys.exit(1)
