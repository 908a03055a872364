"""A quotation is open until it is closed, in whatever way a language writes it."""

from __future__ import annotations

import pytest

from services.gateway.live.quotes import is_open


@pytest.mark.parametrize(
    "text",
    [
        "„Hallo.“",
        "„Hallo.”",
        "»Hallo.«",
        "« Bonjour. »",
        "“Hello.”",
        "‘Hello.’",
        "‚Hallo.‘",
        '"Hello."',
        '"5".',
        "「はい。」",
        "“He said „ja“, then left.”",
        "«Он сказал: „да“.»",
        "It’s the dogs’ and the ‘90s.",
        "A smile :) and none :( here.",
        'A 6" nail.',
        "1) one, a) two.",
        "**Bold.**",
        "(All [of it].)",
        "”Hej.”",
    ],
)
def test_what_is_closed_is_not_open(text: str) -> None:
    assert not is_open(text)


@pytest.mark.parametrize(
    "text",
    [
        "„Hallo.",
        "»Hallo.",
        "« Bonjour.",
        "“Hello.",
        "‘Hello. It’s me.",
        "‚Hallo.",
        "「はい。",
        "“He said „ja“, then left.",
        "«Он сказал: „да“.",
        "**Bold.",
        "(All [of it].",
        '"Hello.',
    ],
)
def test_what_is_not_closed_is_open(text: str) -> None:
    assert is_open(text)


def test_what_is_very_long_counts_as_closed() -> None:
    assert not is_open("“" + "never closed " * 20)
