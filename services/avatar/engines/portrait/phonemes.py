"""From a speech engine's phoneme marks to mouth shapes in time.

Phonemes are IPA as espeak-ng writes it, stress marks included, for any of its languages. Every
letter of the IPA has a mouth shape; what is no sound (tones, length, language switches) is passed over.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.avatar.engines.portrait import visemes
from services.avatar.engines.portrait.visemes import Viseme
from services.contract.speech import Mark

STRESS_MARKS = "ˈˌ"

LONGEST_CLOSURE_S = 0.16
"""A shorter silence inside speech is the closure of a stop or a hesitation; a longer one is a pause."""

_VOICELESS_STOPS = "ptkcqʈ"
_BURST_S, _CLOSURE_S = 0.065, 0.055
"""espeak-ng marks a voiceless stop at its burst; its closure counts to the sound before."""

# Openness, frontness and lip rounding of the vowels, 0 to 1.
_VOWELS = {
    "i": (0.0, 1.0, 0.0), "y": (0.0, 1.0, 0.9), "ɨ": (0.05, 0.5, 0.0), "ʉ": (0.0, 0.5, 1.0), "ɯ": (0.1, 0.1, 0.15),
    "u": (0.0, 0.0, 1.0), "ɪ": (0.15, 0.8, 0.0), "ʏ": (0.15, 0.8, 0.85), "ʊ": (0.15, 0.1, 0.85),
    "e": (0.35, 0.95, 0.0), "ø": (0.35, 0.9, 0.85), "ɘ": (0.3, 0.5, 0.0), "ɵ": (0.3, 0.5, 0.85),
    "ɤ": (0.4, 0.1, 0.0), "o": (0.4, 0.0, 0.95), "ə": (0.22, 0.4, 0.0), "ɛ": (0.55, 0.85, 0.0),
    "œ": (0.55, 0.85, 0.7), "ɜ": (0.45, 0.4, 0.1), "ɞ": (0.5, 0.4, 0.7), "ʌ": (0.65, 0.3, 0.0),
    "ɔ": (0.65, 0.0, 0.8), "æ": (0.8, 0.8, 0.0), "ɐ": (0.75, 0.4, 0.0), "a": (1.0, 0.5, 0.0),
    "ɶ": (0.9, 0.8, 0.4), "ɑ": (1.0, 0.1, 0.0), "ɒ": (0.9, 0.0, 0.5), "ɚ": (0.25, 0.4, 0.45),
    "ɝ": (0.3, 0.4, 0.45), "ᵻ": (0.15, 0.6, 0.0), "ᵿ": (0.15, 0.2, 0.7),
}  # fmt: skip

_CONSONANTS = {
    visemes.BILABIAL: "p b m ɓ ʙ ʘ",
    visemes.LIP_GLIDE: "w ʍ",
    visemes.NEAR_BILABIAL: "β ɸ",
    visemes.LABIODENTAL: "f v ɱ ʋ ⱱ",
    visemes.DENTAL: "θ ð ǀ",
    visemes.ALVEOLAR_STOP: "t d ɗ ʈ ɖ ᶑ ǃ",
    visemes.ALVEOLAR: "n l r ɾ ɽ ɫ ɭ ɬ ɮ ɳ ɺ ǁ",
    visemes.SIBILANT: "s z",
    visemes.POSTALVEOLAR: "ʃ ʒ ɕ ʑ ʂ ʐ ɧ ǂ",
    visemes.RHOTIC: "ɹ ɻ",
    visemes.PALATAL: "j ɲ ʎ ç ʝ c ɟ ʄ",
    visemes.LABIAL_PALATAL: "ɥ",
    visemes.VELAR: "k ɡ g ŋ x ɣ ɰ q ɢ χ ʁ ɴ ʀ ʟ ɠ ʛ",
    visemes.GLOTTAL: "h ɦ ʔ ħ ʕ ʜ ʢ ʡ",
}


@dataclass(frozen=True)
class Phone:
    """One mouth shape and the stretch of speech that asks for it, in seconds."""

    viseme: Viseme
    start_s: float
    end_s: float
    stressed: bool = False


class Phonemes:
    """Reads IPA."""

    def __init__(self) -> None:
        self._visemes = {letter: visemes.vowel(*features) for letter, features in _VOWELS.items()}
        for viseme, letters in _CONSONANTS.items():
            self._visemes.update(dict.fromkeys(letters.split(), viseme))

    def visemes(self, phoneme: str) -> tuple[Viseme, ...]:
        """Return the shapes `phoneme` passes through: one, or several for diphthongs and affricates.

        A pause, a tone or a language switch such as `(en)` has none. Letters outside the IPA count
        as a neutral vowel.
        """
        if phoneme.startswith("("):
            return ()
        shapes = [self._visemes.get(letter, visemes.NEUTRAL) for letter in _letters(phoneme)]
        shapes = _without_stop_of_affricate(shapes)
        return tuple(shape for shape, _ in itertools.groupby(shapes))

    def phones(self, marks: Iterable[Mark]) -> list[Phone]:
        """Return the mouth shapes of the phoneme `marks`, in order; pauses are left out."""
        spoken: list[Phone] = []
        closure_start_s: float | None = None
        for mark in marks:
            if mark.kind != "phoneme" or mark.end_s <= mark.start_s:
                continue
            if not mark.text and closure_start_s is None:
                closure_start_s = mark.start_s
            shapes = self.visemes(mark.text)
            if not shapes:
                continue
            stressed = mark.text.startswith("ˈ")
            parts = _share(shapes, mark.start_s, mark.end_s, stressed)
            if closure_start_s is not None and mark.start_s - closure_start_s < LONGEST_CLOSURE_S:
                parts[0] = _with_closure(parts[0], closure_start_s)
            elif spoken and closure_start_s is None and _letters(mark.text)[0] in _VOICELESS_STOPS:
                spoken[-1], parts[0] = _lend_closure(spoken[-1], parts[0])
            spoken += parts
            closure_start_s = None
        return spoken


def breath_groups(phones: Sequence[Phone]) -> list[list[Phone]]:
    """Return the runs of `phones` between pauses. What one run does, no other one sees."""
    groups: list[list[Phone]] = []
    for phone in phones:
        if not groups or phone.start_s - groups[-1][-1].end_s >= LONGEST_CLOSURE_S:
            groups.append([])
        groups[-1].append(phone)
    return groups


def _letters(phoneme: str) -> str:
    """Return `phoneme` without stress, length, tone and diacritics."""
    return "".join(char for char in unicodedata.normalize("NFD", phoneme) if unicodedata.category(char) in ("Ll", "Lo"))


def _without_stop_of_affricate(shapes: list[Viseme]) -> list[Viseme]:
    """/tʃ/ and /ts/ hold the lips of their second half from the start."""
    sibilants = (visemes.SIBILANT, visemes.POSTALVEOLAR)
    return [
        shape
        for index, shape in enumerate(shapes)
        if not (shape is visemes.ALVEOLAR_STOP and index + 1 < len(shapes) and shapes[index + 1] in sibilants)
    ]


def _share(shapes: Sequence[Viseme], start_s: float, end_s: float, stressed: bool) -> list[Phone]:
    """Return `shapes` one after the other; the first of a glide is held a little longer."""
    weights = [1.2] + [1.0] * (len(shapes) - 1)
    ends_s = [start_s + (end_s - start_s) * part / sum(weights) for part in itertools.accumulate(weights)]
    return [
        Phone(shape, from_s, to_s, stressed and index == 0)
        for index, (shape, from_s, to_s) in enumerate(zip(shapes, [start_s, *ends_s], ends_s, strict=False))
    ]


def _with_closure(phone: Phone, start_s: float) -> Phone:
    """espeak marks a stop at its burst; the silence before it is the stop's closure."""
    return replace(phone, start_s=start_s) if phone.viseme.stops else phone


def _lend_closure(before: Phone, stop: Phone) -> tuple[Phone, Phone]:
    """Return both with the boundary moved to where the closure of a voiceless `stop` begins."""
    if stop.end_s - stop.start_s > _BURST_S:
        return before, stop
    boundary_s = stop.start_s - min(_CLOSURE_S, (before.end_s - before.start_s) / 2)
    return replace(before, end_s=boundary_s), replace(stop, start_s=boundary_s)
