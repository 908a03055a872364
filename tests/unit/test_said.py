"""How far an answer had come when it was interrupted."""

from __future__ import annotations

import pytest

from services.contract.speech import Mark
from services.gateway.live.said import Said

NOTHING = {"utterance_index": None, "sentence_index": None, "last_word": None}
WORDS = ("one", "two", "three")
MARKS = tuple(Mark(kind="word", text=word, start_s=0.2 * at, end_s=0.2 * at + 0.2) for at, word in enumerate(WORDS))


def begun() -> Said:
    said = Said()
    said.begin(3, "One two three.", utterance_index=7)
    return said


def test_before_the_first_sentence_there_is_nothing_to_tell() -> None:
    assert Said().told() == NOTHING


def test_where_no_words_are_known_the_sentence_is_told() -> None:
    said = begun()
    said.add([Mark(kind="phoneme", text="w", start_s=0.0, end_s=0.1)], 0.3)
    assert said.told() == {
        "utterance_index": 7,
        "sentence_index": 3,
        "sentence_text": "One two three.",
        "last_word": None,
        "word_index": None,
        "sent_ms": 300,
    }


@pytest.mark.parametrize(
    ("sent_s", "index"), [(0.0, None), (0.01, 0), (0.2, 0), (0.21, 1), (0.4, 1), (0.5, 2), (0.6, 2), (9.0, 2)]
)
def test_of_words_that_are_known_ahead_those_count_whose_sound_began(sent_s: float, index: int | None) -> None:
    said = begun()
    said.add(MARKS, 0.0)
    said.add([], sent_s)
    told = said.told()
    assert told["word_index"] == index
    assert told["last_word"] == (None if index is None else WORDS[index])
    assert told["sent_ms"] == round(1000 * sent_s)


def test_words_that_become_known_bit_by_bit_add_up() -> None:
    said = begun()
    for at, mark in enumerate(MARKS):
        said.add([mark], mark.end_s)
        assert (said.told()["last_word"], said.told()["word_index"]) == (WORDS[at], at)


def test_another_sentence_begins_without_a_word() -> None:
    said = begun()
    said.add(MARKS, 0.6)
    said.begin(4, "Four.", utterance_index=7)
    told = said.told()
    assert (told["sentence_index"], told["sentence_text"]) == (4, "Four.")
    assert (told["last_word"], told["word_index"], told["sent_ms"]) == (None, None, 0)
