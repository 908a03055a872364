"""Markdown's marks are not read aloud, and what only looks like them stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.markup import without_markup


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("**Bold** *it* __b__ _i_ ~~s~~ `c` ***x***", "Bold it b i s c x"),
        ("**bold *nested* x**", "bold nested x"),
        ("这是**重要**的。", "这是重要的。"),
        ("[link](http://a.example/b_c) ![picture](x.png)", "link picture"),
        ("# Title\ntext", "\nTitle\ntext"),
        ("- one\n* two", "\none\n\ntwo"),
        ("> said\n> so", "said\nso"),
        ("a\n\n***\n\nb", "a\n\n\n\n\nb"),
        ("```py\ncode\n```", "\n\ncode\n\n"),
    ],
)
def test_marks_are_taken_out(text: str, heard: str) -> None:
    assert without_markup(text) == heard


@pytest.mark.parametrize(
    "text", ["2 * 3 * 4", "2*3*4", "2**3", "snake_case_name", "C# and #1", "-5 degrees", "a - b", "5 > 3", "f(x) [1]"]
)
def test_what_means_itself_stays(text: str) -> None:
    assert without_markup(text) == text


@given(st.text(st.sampled_from("ab12 \n*_~`#->+[]()")))
def test_nothing_but_marks_and_addresses_of_links_is_taken(text: str) -> None:
    heard = without_markup(text)
    if "](" not in text and "```" not in text and "~~~" not in text:
        assert [c for c in heard if c.isalnum()] == [c for c in text if c.isalnum()]
