"""Finished sound, kept for fetching."""

from __future__ import annotations

import pytest

from services.contract.errors import NotFound, TooLarge
from services.gateway.outputs import Outputs


def test_what_is_kept_can_be_fetched_and_the_oldest_makes_room() -> None:
    outputs = Outputs(kept_bytes=100)
    first, second = outputs.keep(b"1" * 60, "wav"), outputs.keep(b"2" * 60, "wav")
    assert first != second == outputs.keep(b"2" * 60, "wav")
    assert outputs.fetch(second) == b"2" * 60
    with pytest.raises(NotFound):
        outputs.fetch(first)


def test_what_is_too_large_to_be_kept_gets_no_name_and_costs_the_others_nothing() -> None:
    outputs = Outputs(kept_bytes=100)
    kept = outputs.keep(b"1" * 100, "wav")
    with pytest.raises(TooLarge, match="in parts"):
        outputs.keep(b"2" * 101, "wav")
    assert outputs.fetch(kept) == b"1" * 100
