"""A text that is still being written is cut where a sentence is over, however it arrives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.languages import detector
from services.gateway.live.segmenter import Granularity, SentenceStream
from services.gateway.sentences import LONGEST_SENTENCE_CHARS, Pause

LETTERS = st.text(
    alphabet=st.sampled_from(list("abcÄé ñ.,;:!?\n\t 0123456789-—'\"()«»“”「」你好。、！안녕こんに한я…*\u0301")),
    max_size=900,
)


@pytest.fixture(autouse=True, scope="module")
def languages_can_be_told() -> None:
    """Loading takes longer than a text may."""
    detector().wait()


def cut(text: str, language: str = "Auto", granularity: Granularity = "sentence", *, at: int = 1) -> list[str]:
    """Return the sentences of `text`, which arrives `at` letters at a time."""
    stream = SentenceStream(language, granularity)
    pieces = [text[start : start + at] for start in range(0, len(text), at)]
    sentences = [sentence for piece in pieces for sentence in stream.feed(piece)]
    return [sentence.text for sentence in [*sentences, *stream.flush()]]


def words(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


@given(LETTERS, st.integers(2, 40))
def test_where_it_is_cut_hangs_on_the_text_and_not_on_the_pieces_it_came_in(text: str, at: int) -> None:
    assert cut(text, at=at) == cut(text, at=1)


@given(LETTERS)
def test_no_word_is_lost_and_no_sentence_is_without_one_or_too_long(text: str) -> None:
    sentences = cut(text, at=7)
    assert words("".join(sentences)) == words(text)
    assert all(words(sentence) and len(sentence) <= LONGEST_SENTENCE_CHARS for sentence in sentences)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Dr. Smith paid $3.50 for it. Really? Yes!", ["Dr. Smith paid $3.50 for it.", "Really?", "Yes!"]),
        ("en", 'He said "Stop. Now." and left. Then', ['He said "Stop. Now." and left.', "Then"]),
        ("en", "See https://a.example/b.c?d=1. Then e.g. this.", ["See https://a.example/b.c?d=1.", "Then e.g. this."]),
        ("en", "Come at 5 p.m. on Monday. It is 2.0. New.", ["Come at 5 p.m. on Monday.", "It is 2.0.", "New."]),
        ("en", "The U.S. grew (see Fig. 3. It does). Ok.", ["The U.S. grew (see Fig. 3. It does).", "Ok."]),
        ("en", "J. R. R. Tolkien wrote it. Did he?", ["J. R. R. Tolkien wrote it.", "Did he?"]),
        ("en", "1. First item. 2. Second item.", ["1. First item.", "2. Second item."]),
        ("en", "wrapped text\nthat goes on. Next one.", ["wrapped text that goes on.", "Next one."]),
        ("en", "# A heading\nThen text.\n\n- one\n- two", ["A heading", "Then text.", "one", "two"]),
        ("en", "**It is bold. All of it.** And this.", ["It is bold. All of it.", "And this."]),
        ("ko", "안녕하세요. 오늘은 3.5도입니다. 네!", ["안녕하세요.", "오늘은 3.5도입니다.", "네!"]),
        ("ja", "「そうです。」と言った。値段は3.5です。", ["「そうです。」と言った。", "値段は3.5です。"]),
        ("zh", "他说：“你好。再见。”然后走了。好！", ["他说：“你好。再见。”然后走了。", "好！"]),
        ("ru", "В 2020 г. было так. «Да. Нет.» — сказал он.", ["В 2020 г. было так.", "«Да. Нет.» — сказал он."]),
        ("de", "Am 3. Mai kam er. Das ist z. B. so.", ["Am 3. Mai kam er.", "Das ist z. B. so."]),
        ("de", "„Geht das? Ja.“ Er ging in Zimmer Nr. 5.", ["„Geht das? Ja.“", "Er ging in Zimmer Nr. 5."]),
        ("de", "»Das ist gut. Ja.« Sie lachte.", ["»Das ist gut. Ja.«", "Sie lachte."]),
        ("fr", "« Bonjour. Ça va ? » dit-il. M. Dupont rit.", ["« Bonjour. Ça va ? » dit-il.", "M. Dupont rit."]),
        ("es", "¿Qué tal? El Sr. García vino.", ["¿Qué tal?", "El Sr. García vino."]),
    ],
)
def test_numbers_abbreviations_addresses_and_quotes_stay_whole(
    language: str, text: str, sentences: list[str], *, named: bool
) -> None:
    assert cut(text, language if named else "Auto") == sentences


def test_the_first_clause_is_given_early_and_later_ones_only_where_asked_for() -> None:
    text = "Well, that is a good question, to be sure. It has, as far as I can see, no answer."
    first, *rest = cut(text)
    assert first == "Well, that is a good question,"
    assert rest == ["to be sure.", "It has, as far as I can see, no answer."]
    assert "as far as I can see," in cut(text, granularity="clause")[2]
    assert cut("今天的天气很好，我们去公园，怎么样。", "zh") == ["今天的天气很好，", "我们去公园，怎么样。"]


def test_without_cutting_the_text_waits_for_its_end() -> None:
    stream = SentenceStream("en", "none")
    assert stream.feed("One. Two. Three. ") == []
    assert stream.settles_in_s is None
    assert [sentence.text for sentence in stream.flush()] == ["One.", "Two.", "Three."]
    assert len(stream.feed("And so on. " * 2_000)) == 2_000  # more than anybody can wait for


@pytest.mark.parametrize(
    ("text", "settles"),
    [
        ("Hello there.", True),
        ("Hello there. ", True),
        ("Is it?", True),
        ("A title\n", True),
        ("It costs 3.", True),
        ("안녕하세요.", True),
        ("Hello", False),
        ("Hello, ", False),
        ("I saw Dr.", False),
        ("I saw Dr. ", False),
        ("He lives in the U.S.", False),
        ('He said "Hi.', False),
        ("...", False),
        ("", False),
    ],
)
def test_a_pause_ends_only_what_can_be_a_sentence(text: str, *, settles: bool) -> None:
    stream = SentenceStream("en")
    assert stream.feed(text) == []
    assert (stream.settles_in_s is not None) == settles


@pytest.mark.parametrize(
    "text", ["It costs 3.", "See https://example.", "Ask ann@example.", "Edit src/main.", "Go to www.", "Open a_file."]
)
def test_a_pause_must_be_long_where_more_may_follow_without_a_space(text: str) -> None:
    stream, ended = SentenceStream("en"), SentenceStream("en")
    assert stream.feed(text) == ended.feed("It is over.") == []
    assert stream.settles_in_s is not None and ended.settles_in_s is not None
    assert stream.settles_in_s >= 1.0 > 0.1 >= ended.settles_in_s


def test_a_language_that_nobody_named_is_told_by_what_came_before() -> None:
    german = "Wir sehen uns morgen in der Stadt und gehen dann zum Essen. "
    assert cut(f"{german}Nr. 5 ist gut. Ja.") == [german.strip(), "Nr. 5 ist gut.", "Ja."]


def test_what_is_flushed_in_the_middle_is_a_clause_and_the_text_goes_on() -> None:
    stream = SentenceStream("en")
    stream.feed("Let me see")
    [piece] = stream.flush()
    assert (piece.text, piece.pause) == ("Let me see", Pause.CLAUSE)
    assert [sentence.text for sentence in stream.feed(" what I have. Then")] == ["what I have."]


def test_a_quotation_that_is_never_closed_does_not_keep_all_that_follows() -> None:
    text = 'She said "and then ' + "it went on. " * 60
    assert all(len(sentence) < LONGEST_SENTENCE_CHARS for sentence in cut(text, "en"))
    assert len(cut(text, "en")) > 10


def test_a_long_text_takes_as_long_as_it_is() -> None:
    words_of = random.Random(1).choices(["speech", "talks", "and", "rarely", "ends"], k=20_000)
    assert len(cut(" ".join(words_of), "en", at=50)) > 200
