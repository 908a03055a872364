"""Sentences keep the language of their text, and a text may have several."""

from __future__ import annotations

import asyncio

import pytest

from services.contract.speech import AUTO
from services.gateway.languages import Languages

FRENCH, GERMAN = "Je viens de Paris, et toi ?", "Ich komme aus Berlin, und du?"


def test_what_was_asked_for_holds_for_all() -> None:
    languages = Languages("German", FRENCH)
    languages.settle(FRENCH, "fr")
    assert languages.of("你好。") == languages.of("Oui.") == "German"


@pytest.mark.parametrize("asked", ["Auto", "auto", "", " AUTO "])
def test_a_telling_sentence_settles_the_language_of_the_rest(asked: str) -> None:
    languages = Languages(asked, f"Hi! {FRENCH} Oui.")
    assert languages.of("Hi!") == AUTO
    languages.settle("Hi!", "en")
    assert languages.of(FRENCH) == AUTO
    languages.settle(FRENCH, "fr")
    assert languages.of("Oui.") == "fr"
    languages.settle(GERMAN, "de")
    assert languages.of("Oui.") == "fr"


def test_another_writing_is_another_language() -> None:
    languages = Languages(AUTO, f"{FRENCH} 你好。")
    languages.settle(FRENCH, "fr")
    assert languages.of("你好。") == languages.of("Привет.") == AUTO
    assert languages.of("Oui, 好.") == "fr"


def test_kanji_in_a_japanese_text_are_japanese() -> None:
    assert Languages(AUTO, "天気予報。今日は晴れです。").of("天気予報。") == "ja"
    assert Languages(AUTO, "天气预报。今天晴。").of("天气预报。") == AUTO


def test_numbers_are_read_in_the_language_before_them() -> None:
    languages = Languages(AUTO, f"{FRENCH} 42.")
    assert languages.of("42.") == AUTO
    languages.settle(FRENCH, "fr")
    assert languages.of("42.") == "fr"


def test_signs_are_read_in_the_language_of_the_text_from_the_first_sentence_on() -> None:
    languages = Languages(AUTO, "Es kostet 3 Euro. Das ist nicht viel Geld für so etwas.")
    assert languages.of("Es kostet 3 Euro.") == AUTO
    assert languages.reading("Es kostet 3 Euro.") == "de"
    assert languages.reading("Das ist nicht viel.") == AUTO  # there is nothing to read
    assert Languages("French", "3").reading("3") == "French"


def test_sentences_side_by_side_wait_only_until_their_language_is_known() -> None:
    async def visit() -> None:
        languages, begun = Languages(AUTO, f"{FRENCH} Oui. Non. 42."), list[int]()

        async def speak(number: int, sentence: str) -> None:
            await languages.in_turn(number, sentence)
            begun.append(number)

        tasks = [
            asyncio.create_task(speak(number, text)) for number, text in enumerate((FRENCH, "Oui.", "Non.", "42."))
        ]
        await asyncio.sleep(0.01)
        assert begun == [0]
        languages.settle(FRENCH, "fr", 0)
        await asyncio.sleep(0.01)
        assert begun == [0, 1, 2]
        languages.settle("Non.", "fr", 2)
        languages.settle("Oui.", "fr", 1)
        await asyncio.gather(*tasks)
        assert (begun[-1], languages.of("42.", 3)) == (3, "fr")

    asyncio.run(visit())


def test_a_sentence_that_tells_the_same_language_waits_for_none_before_it() -> None:
    german = "Das Wetter ist heute sehr schön, und wir gehen spazieren."
    texts = (FRENCH, "Il fait beau aujourd'hui, et nous allons au parc.", german, "Oui.")

    async def visit() -> None:
        languages, begun = Languages(AUTO), list[int]()
        await languages.ready()

        async def speak(number: int, sentence: str) -> None:
            languages.go_on(sentence)
            await languages.in_turn(number, sentence)
            begun.append(number)

        tasks = [asyncio.create_task(speak(number, text)) for number, text in enumerate(texts)]
        await asyncio.wait(tasks[:2], timeout=5)
        await asyncio.sleep(0.05)
        assert sorted(begun) == [0, 1]
        languages.settle(FRENCH, "fr", 0)
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert sorted(begun) == [0, 1, 2, 3]

    asyncio.run(visit())
