"""What clients call the text: OpenAI's send `input` and `prompt`, the others `text`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.contract.errors import ServiceError

_TEXT = "text"


@contextmanager
def text_named(field: str) -> Iterator[None]:
    """Let what goes wrong with the text within the block name the field in which the client sent it."""
    try:
        yield
    except ServiceError as error:
        if error.param == _TEXT:
            error.param = field
            if error.detail.startswith(f"{_TEXT}:"):
                error.detail = field + error.detail.removeprefix(_TEXT)
        raise
