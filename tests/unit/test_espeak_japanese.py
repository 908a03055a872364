"""Japanese as it is pronounced."""

from __future__ import annotations

import pytest

from services.tts.japanese import JapaneseReader
from services.tts.japanese_numbers import number_of, number_reading


@pytest.mark.parametrize(
    ("written", "pronounced"),
    [
        ("今日は天気が良いですね。", "キョーワ テンキガ ヨイデスネ。"),
        ("わたしはがっこうへいきます。", "ワタシワ ガッコーエ イキマス。"),
        ("本を読んでいます。", "ホンオ ヨンデ イマス。"),
        ("こんにちは。", "コンニチワ。"),
        ("では、学校には行かない。", "デワ、 ガッコーニワ イカナイ。"),
        ("そう思う", "ソー オモウ"),
        ("3月20日は123人です。", "サンガツ ハツカワ ヒャクニジューサンニンデス。"),
        ("14時30分", "ジューヨジサンジュップン"),
        ("一人で三百円", "ヒトリデ サンビャクエン"),
    ],
)
def test_kanji_particles_and_numbers_are_read_as_they_sound(written: str, pronounced: str) -> None:
    assert JapaneseReader().pronounced(written) == pronounced


@pytest.mark.parametrize(
    ("written", "reading"),
    [
        ("0", "ゼロ"),
        ("10", "ジュー"),
        ("101", "ヒャクイチ"),
        ("3,600", "サンゼンロッピャク"),
        ("8888", "ハッセンハッピャクハチジューハチ"),
        ("10000", "イチマン"),
        ("一億二千万", "イチオクニセンマン"),
        ("二〇二六", "ニセンニジューロク"),
        ("25.50", "ニジューゴテンゴゼロ"),
        ("１２", "ジューニ"),
    ],
)
def test_numbers(written: str, reading: str) -> None:
    number = number_of(written)
    assert number is not None
    assert number_reading(number) == reading


def test_a_number_too_large_to_be_read_has_no_value() -> None:
    assert number_of("9" * 16) is not None
    assert number_of("9" * 17) is None
