"""Every phoneme has a mouth shape, and the lips do what the phoneme asks for."""

from __future__ import annotations

import pytest

from services.avatar.engines.portrait import visemes
from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.phonemes import Phonemes, breath_groups
from services.contract.speech import Mark

ESPEAK_PHONEMES = {
    "en": "b d dʒ eɪ eə f h i iə iː j k l m n n̩ oʊ p s t tʃ uː v w z æ ð ŋ ɐ ɑː ɑːɹ ɒ ɔ ɔɪ ɔː ɔːɹ ə əl əʊ ɚ ɛ ɛɹ ɜː ɡ "
    "ɪ ɪɹ ɹ ɾ ʃ ʊ ʊə ʊɹ ʌ ʒ ʔ θ ᵻ aɪ aɪə aɪɚ aʊ",
    "de": "a aɪ aʊ b d eː f h iː j k l m n oː p pf r s t ts uː v x yː z ç øː œ ŋ ɑ ɑː ɔ ɔø ə ɛ ɜ ɡ ɪ ɾ ʃ ʊ ʏ ʒ",
    "fr": "a b d e e- f i j k l m n o p s t u v w y z ø ŋ œ œ̃ ɑ̃ ɑː ɔ ɔ̃ ə ə- ɛ ɛ̃ ɡ ɪ ɲ ʁ ʃ ʒ",
    "es": "a b d e f i j k l m n o oɪ p r s t tʃ u w x ð ŋ ɛ ɡ ɣ ɲ ɾ ʎ ʝ β θ",
    "it": "a b d dz dʒ e f i j k l m n o p r s ss t ts tʃ u v w z ɔ ɛ ɡ ɪ ɲ ʃ ʊ ʎ",
    "pt": "a b d dʒ e eɪ eʊ f i j k l m n o õ p r s t tʃ u ũ v w x y z æ ŋ ɐ ɐ̃ ɐ̃ʊ ɐ̃ʊ̃ ɔ ə ɛ ɡ ɨ ɲ ɹ ɾ ʃ ʊ ʎ ʒ",
    "ru": "a b d dʲ e f i j ja ju k m mʲ n o p r s sʲ t tʃʲ tʲ ts u v x y z ɑ ɕ ɛ ɡ ɪ ɭ ɵ ʃ ʌ ʑ ʒ",
    "ja": "b d dʑ e̞ h i k m n o̞ p s t tɕ ts w ä ŋ ɕ ɡ ɯᵝ ɴ ɸ ɽ",
    "ko": "b d e h i j k k- kh l m n o p p- ph q q- s s- t t- tɕ u w ŋ ɐ ɛ ɡ ɫ ɯ ʌ",
    "zh": "f i i. i̪ iɛ j k l m n o o- onɡ p ph s s. t th ts ts. ts.h tsh tɕ tɕh u uei uo uə w y yæ "
    "yɛ ŋ ɑ ɑu ɕ ə ər ɜ ʐ χ",
}
"""What espeak-ng 1.52 says in texts of ten languages."""


@pytest.fixture(scope="module")
def phonemes() -> Phonemes:
    return Phonemes()


@pytest.mark.parametrize("language", ESPEAK_PHONEMES)
def test_espeak_phonemes_all_have_shapes_of_their_own(phonemes: Phonemes, language: str) -> None:
    for phoneme in ESPEAK_PHONEMES[language].split():
        shapes = phonemes.visemes(phoneme)
        assert shapes, phoneme
        assert "ə" in phoneme or visemes.NEUTRAL not in shapes, f"{phoneme} fell through"


@pytest.mark.parametrize("silent", ["", "(en)", "(fr)", "ˈ", "ː", "ʲ", "˥˩", "5"])
def test_what_is_no_sound_moves_nothing(phonemes: Phonemes, silent: str) -> None:
    assert phonemes.visemes(silent) == ()


def test_stress_length_and_diacritics_do_not_change_the_shape(phonemes: Phonemes) -> None:
    assert phonemes.visemes("ˈuː") == phonemes.visemes("u")
    assert phonemes.visemes("ɔ̃") == phonemes.visemes("ɔ")


def test_a_letter_of_no_alphabet_is_a_neutral_vowel(phonemes: Phonemes) -> None:
    assert phonemes.visemes("ǯ̥ж") != ()
    assert phonemes.visemes("ж") == (visemes.NEUTRAL,)


@pytest.mark.parametrize(("phoneme", "count"), [("aɪ", 2), ("aɪɚ", 3), ("oʊ", 2), ("tʃ", 1), ("ts", 1), ("ss", 1)])
def test_diphthongs_glide_and_affricates_do_not(phonemes: Phonemes, phoneme: str, count: int) -> None:
    assert len(phonemes.visemes(phoneme)) == count


@pytest.mark.parametrize("phoneme", ["p", "b", "m", "ph", "mʲ"])
def test_bilabials_close_the_lips(phonemes: Phonemes, phoneme: str) -> None:
    assert phonemes.visemes(phoneme)[0].closes


def test_vowels_follow_their_features(phonemes: Phonemes) -> None:
    def weight(phoneme: str, shape: str) -> float:
        return phonemes.visemes(phoneme)[0].shape[MOUTH_SHAPES.index(shape)]

    assert weight("a", "jaw") > weight("ɛ", "jaw") > weight("e", "jaw") > weight("i", "jaw")
    assert weight("u", "round") > weight("o", "round") > weight("ɔ", "round") > weight("a", "round") == 0
    assert weight("i", "wide") > weight("e", "wide") > weight("a", "wide")
    assert weight("y", "round") > 0.8


def mark(text: str, start_s: float, end_s: float) -> Mark:
    return Mark(kind="phoneme", text=text, start_s=start_s, end_s=end_s)


def test_a_stop_owns_the_silence_before_its_burst(phonemes: Phonemes) -> None:
    vowel, stop = phonemes.phones([mark("a", 0, 0.2), mark("p", 0.2, 0.22)])
    assert stop.start_s == vowel.end_s == pytest.approx(0.145)
    _, stop = phonemes.phones([mark("a", 0, 0.2), mark("", 0.2, 0.26), mark("t", 0.26, 0.3)])
    assert stop.start_s == 0.2


def test_a_stop_marked_in_full_keeps_its_marks(phonemes: Phonemes) -> None:
    vowel, stop = phonemes.phones([mark("a", 0, 0.2), mark("p", 0.2, 0.31)])
    assert (vowel.end_s, stop.start_s) == (0.2, 0.2)


def test_only_the_first_shape_of_a_stressed_diphthong_is_stressed(phonemes: Phonemes) -> None:
    assert [phone.stressed for phone in phonemes.phones([mark("ˈaɪ", 0, 0.2)])] == [True, False]


def test_pauses_part_breath_groups_and_closures_do_not(phonemes: Phonemes) -> None:
    marks = [mark("a", 0, 0.1), mark("", 0.1, 0.2), mark("n", 0.2, 0.3), mark("", 0.3, 0.5), mark("a", 0.5, 0.6)]
    assert [len(group) for group in breath_groups(phonemes.phones(marks))] == [2, 1]


def test_words_are_no_phonemes(phonemes: Phonemes) -> None:
    assert phonemes.phones([Mark(kind="word", text="map", start_s=0, end_s=0.4)]) == []
