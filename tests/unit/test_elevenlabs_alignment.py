"""When each letter is heard, as ElevenLabs' clients are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import cast

import pytest

from services.contract.speech import AudioChunk, Mark
from services.gateway.clients import SpeechAnswer
from services.gateway.lines import Line
from services.gateway.live.elevenlabs.alignment import SentenceAlignment, Track
from services.gateway.live.elevenlabs.delivery import Delivery
from services.gateway.live.elevenlabs.formats import output_of
from services.gateway.live.journal import Journal
from services.gateway.live.pipeline import SentenceBegun, SentenceEnded, Sound, SpokenEvent


def told(track: Track, until_s: float = 1e9) -> tuple[str, list[int], list[int]]:
    alignment: dict[str, list[object]] = track.take(until_s)  # type: ignore[assignment]
    return (
        "".join(map(str, alignment["chars"])),
        [int(str(start)) for start in alignment["charStartTimesMs"]],
        [int(str(duration)) for duration in alignment["charDurationsMs"]],
    )


def aligned(text: str, words: list[str], each_s: float = 1.0) -> tuple[Track, Track, SentenceAlignment]:
    written, spoken = Track(), Track()
    sentence = SentenceAlignment(text, written, spoken)
    for place, word in enumerate(words):
        sentence.add(Mark(kind="word", text=word, start_s=place * each_s, end_s=(place + 1) * each_s))
    return written, spoken, sentence


def starts(text: str, words: list[str]) -> dict[str, int]:
    """Return when the first letter of each written word is heard, in seconds."""
    written, _, sentence = aligned(text, words)
    sentence.finish(len(words))
    letters, times, _ = told(written)
    assert letters == f"{text} "
    found: dict[str, int] = {}
    for at, letter in enumerate(letters):
        if letter != " " and (at == 0 or letters[at - 1] == " "):
            found[letters[at:].split()[0]] = times[at] // 1000
    return found


def test_the_letters_of_a_word_share_its_time() -> None:
    written, _, sentence = aligned("Ab cd.", ["Ab", "cd"])
    sentence.finish(3.0)
    assert told(written) == ("Ab cd. ", [0, 500, 1000, 1000, 1500, 2000, 2500], [500, 500, 0, 500, 500, 500, 500])


def test_alignments_count_from_each_other_and_only_what_was_heard_is_told() -> None:
    written, spoken, sentence = aligned("Ab cd.", ["Ab", "cd"])
    assert told(written, 1.5) == ("Ab c", [0, 500, 1000, 1000], [500, 500, 0, 500])
    assert not written.has(1.5) and written.has(2.0)
    sentence.finish(2.0)
    assert told(written) == ("d. ", [0, 500, 500], [500, 0, 0])
    assert told(spoken)[0] == "Ab cd "


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("It costs $5 for you.", ["It", "costs", "five", "dollars", "for", "you"], {"costs": 1, "$5": 2, "for": 4}),
        ("Take 10 000 of 12 men", ["Take", "ten", "thousand", "of", "twelve", "men"], {"of": 3, "12": 4, "men": 5}),
        ("An apple a day", ["an", "apple", "a", "day"], {"An": 0, "apple": 1, "a": 2, "day": 3}),
        ("He said “no” – twice", ["He", "said", "no", "twice"], {"said": 1, "“no”": 2, "twice": 3}),
        ("$5 for me and five for you", ["five", "dollars", "for", "me", "and", "five", "for", "you"], {"for": 6}),
    ],
)
def test_written_words_are_found_among_the_spoken_ones(text: str, words: list[str], expected: dict[str, int]) -> None:
    found = starts(text, words)
    assert {word: found[word] for word in expected} == expected


def test_letters_without_spaces_are_words() -> None:
    written, _, sentence = aligned("你好吗？", ["你", "好", "吗"])
    sentence.finish(3.0)
    assert told(written)[:2] == ("你好吗？ ", [0, 1000, 2000, 3000, 3000])


def test_a_sentence_that_breaks_off_is_told_as_far_as_it_came() -> None:
    written, spoken, sentence = aligned("One two three", ["One", "two"])
    sentence.break_off(2.5)
    assert told(written)[0] == "One two " and told(spoken)[0] == "One two "
    assert written.end_s == spoken.end_s == 2.5


def test_both_alignments_come_together_or_not_at_all() -> None:
    async def visit() -> list[Mapping[str, object]]:
        messages: list[Mapping[str, object]] = []

        async def tell(message: Mapping[str, object]) -> None:
            messages.append(message)

        async def spoken() -> AsyncGenerator[SpokenEvent, None]:
            yield SentenceBegun(0, Line("$5 now", 0.0), cast(SpeechAnswer, None))
            for place, word in enumerate(("five", "dollars", "now")):
                mark = Mark(kind="word", text=word, start_s=place, end_s=place + 0.9)
                yield Sound(0, AudioChunk(bytes(16_000), 8_000, (mark,)))
            yield SentenceEnded(0)

        await Delivery(output_of("pcm_8000"), tell, Journal("test"), together=False).send_all(spoken())
        return messages

    messages = asyncio.run(visit())
    alone = [(message["alignment"] is None, message["normalizedAlignment"] is None) for message in messages]
    assert alone == [(True, True), (True, True), (False, False), (False, False)]
