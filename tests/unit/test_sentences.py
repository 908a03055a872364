"""Text is cut where a speaker would breathe, and nothing of it is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sentences import LONGEST_FIRST_CHARS, LONGEST_SENTENCE_CHARS, Pause, split_sentences

TEXT = st.text(
    alphabet=st.sampled_from(list("abcÄé ñ.,;:!?\n\t 0123456789-—'\"()你好。、！안녕こんに한я…\u0301")), max_size=1500
)


def words(text: str) -> str:
    """Return the letters and digits of `text`, all that must be heard."""
    return "".join(character for character in text if character.isalnum())


@given(TEXT)
def test_no_word_is_lost_and_no_piece_is_without_one_or_too_long(text: str) -> None:
    pieces = split_sentences(text, "Auto")
    assert words("".join(piece.text for piece in pieces)) == words(text)
    assert all(piece.text.strip() == piece.text and words(piece.text) for piece in pieces)
    assert all(len(piece.text) <= LONGEST_SENTENCE_CHARS for piece in pieces)


@given(TEXT)
def test_only_pieces_cut_in_a_sentence_pause_like_clauses(text: str) -> None:
    pieces = split_sentences(text, "Auto")
    assert not pieces or pieces[-1].pause is Pause.PARAGRAPH


@pytest.mark.parametrize(
    ("language", "text", "pieces"),
    [
        ("en", "Dr. Smith paid $3.50 for it. Really?", ["Dr. Smith paid $3.50 for it.", "Really?"]),
        ("en", 'He said "Stop. Now." and left.', ['He said "Stop. Now." and left.']),
        ("en", "See https://a.example/b.c?d=1. Then come back.", ["See https://a.example/b.c?d=1.", "Then come back."]),
        ("de", "Am 3. Mai kam Hr. Müller. Gut.", ["Am 3. Mai kam Hr. Müller.", "Gut."]),
        ("fr", "Bonjour ! Ça va ? Oui.", ["Bonjour !", "Ça va ?", "Oui."]),
        ("es", "¡Hola! ¿Qué tal? Bien.", ["¡Hola!", "¿Qué tal?", "Bien."]),
        ("ru", "Привет! Как дела? Хорошо.", ["Привет!", "Как дела?", "Хорошо."]),
        ("Auto", "你好！我是玛雅。今天天气很好。", ["你好！", "我是玛雅。", "今天天气很好。"]),
        ("Auto", "こんにちは。今日は良い天気ですね！", ["こんにちは。", "今日は良い天気ですね！"]),
        ("Auto", "안녕하세요! 오늘 날씨가 좋네요.", ["안녕하세요!", "오늘 날씨가 좋네요."]),
    ],
)
def test_sentences_end_where_their_language_ends_them(language: str, text: str, pieces: list[str]) -> None:
    assert [piece.text for piece in split_sentences(text, language)] == pieces


def test_a_long_first_sentence_is_cut_at_a_clause_so_that_sound_comes_early() -> None:
    clause = "this is the first clause of a sentence that is far too long"
    first, *_ = split_sentences(f"{clause}, and this is the rest of it, which goes on and on for quite a while.", "en")
    assert first.text == f"{clause}, and this is the rest of it,"
    assert first.pause is Pause.CLAUSE
    assert len(first.text) <= LONGEST_FIRST_CHARS


def test_paragraphs_pause_longer() -> None:
    pauses = [piece.pause for piece in split_sentences("One. Two.\n\nThree.", "en")]
    assert pauses == [Pause.SENTENCE, Pause.PARAGRAPH, Pause.PARAGRAPH]


def test_what_cannot_be_heard_is_no_piece() -> None:
    pieces = split_sentences("Hello. 😀\n\n***\n\n— Good bye!", "en")
    assert [(piece.text, piece.pause) for piece in pieces] == [
        ("Hello.", Pause.PARAGRAPH),
        ("— Good bye!", Pause.PARAGRAPH),
    ]


LONG_WORDS = st.lists(
    st.sampled_from(["3,000.50", "https://a.example/b.c,d;e", "don't", "well-known", "a", "word"]), max_size=300
)


@given(LONG_WORDS)
def test_words_numbers_and_addresses_are_never_cut(words: list[str]) -> None:
    pieces = split_sentences(" ".join(words), "en")
    assert [word for piece in pieces for word in piece.text.split()] == words


@pytest.mark.parametrize(
    "text", ["a" + " " * 200_000 + "b", "a" + "\n " * 100_000, "a" + "\u0301" * 200_000, "*a " * 50_000]
)
def test_strange_texts_of_any_length_are_bounded(text: str) -> None:
    assert all(len(piece.text) <= LONGEST_SENTENCE_CHARS for piece in split_sentences(text, "Auto"))


@pytest.mark.parametrize("text", ["", " ", "\n\n\t", "***", "😀😀", "…!?"])
def test_no_text_has_no_sentences(text: str) -> None:
    assert split_sentences(text, "Auto") == []


def test_long_texts_can_be_cut_at_their_clauses() -> None:
    text = (
        "This is a long sentence, with quite a few clauses in it, some short, some rather longer than others; "
        "it goes on, as such sentences do, until nobody remembers how it began, and then it ends."
    )
    pieces = [sentence.text for sentence in split_sentences(text, "en", 100)]
    assert " ".join(pieces) == text
    assert len(pieces) >= 2
    assert all(len(piece) <= 100 for piece in pieces)
