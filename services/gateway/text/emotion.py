"""Tells the emotion of a text by its words, and how to speak with one.

Each word of the lexicon adds to its emotion, more after `very`, less after `a little`. A negated joy is a
small sadness, any other negated emotion is none. The strongest emotion counts if it is strong enough for
the number of sentences; otherwise the text is neutral.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import get_args

from services.contract.errors import InvalidRequest
from services.contract.speech import Manner
from services.gateway.text.lexicon import EmotionName, lexicon_of

_THRESHOLD = 0.75
_NEGATED_JOY = 0.8
_EXCLAMATION = 1.2
_SENTENCE_END = re.compile(r"[.!?。！？…]+(?:\s|$)|[。！？]+")
_ORDER: tuple[EmotionName, ...] = ("anger", "disgust", "fear", "sadness", "joy", "surprise")
"""Of equally strong ones the first counts; surprise is often only an exclamation before another."""

_SLIGHTLY, _STRONGLY = 0.35, 0.75


@dataclass(frozen=True)
class Emotion:
    """An emotion, and how strong it is, from 0 to 1."""

    name: EmotionName
    weight: float


NEUTRAL = Emotion("neutral", 1.0)
"""The emotion of a text that shows none, or was not asked for any."""


@dataclass(frozen=True)
class Style:
    """A way to speak: a sentence for models that take one, factors for engines that do not."""

    name: str
    instruct: str = ""
    speed: float = 1.0
    pitch: float = 1.0

    def applied(self, manner: Manner) -> Manner:
        """Return `manner` in this style."""
        return manner.model_copy(update={"instruct": self.instruct}).bent(self.speed, self.pitch)


_STYLES: dict[EmotionName, Style] = {
    "neutral": Style("Neutral"),
    "joy": Style("Happy", "in a happy, bright and warm voice, with a smile", 1.06, 1.06),
    "sadness": Style("Sad", "in a sad, soft and subdued voice", 0.88, 0.95),
    "anger": Style("Angry", "in an angry, tense and forceful voice", 1.08, 1.03),
    "fear": Style("Fearful", "in a fearful, trembling and hushed voice", 1.06, 1.08),
    "surprise": Style("Surprised", "in a surprised, astonished voice with lively intonation", 1.04, 1.1),
    "disgust": Style("Disgusted", "in a disgusted, contemptuous voice", 0.93, 0.96),
}
"""Each emotion's style at full strength."""


def emotion_of(text: str, language: str) -> Emotion:
    """Return the emotion `text` is written in; in languages without a lexicon only emoji and the like tell it."""
    strengths: dict[EmotionName, float] = dict.fromkeys(_ORDER, 0.0)
    for cue in lexicon_of(re.split("[-_]", language.strip().lower())[0][:8]).cues(text):
        if not cue.negated:
            strengths[cue.emotion] += cue.weight
        elif cue.emotion == "joy":
            strengths["sadness"] += cue.weight * _NEGATED_JOY
    return _strongest(strengths, text)


def style_of(emotion: Emotion) -> Style:
    """Return how to speak with `emotion`, the weaker the closer to neutral."""
    full = _STYLES[emotion.name]
    if not full.instruct or emotion.weight <= 0:
        return Style(full.name)
    degree = "Slightly: " if emotion.weight < _SLIGHTLY else "Very strongly: " if emotion.weight > _STRONGLY else ""
    instruct = f"{degree}speak {full.instruct}."
    return Style(
        full.name,
        instruct[0].upper() + instruct[1:],
        round(1 + (full.speed - 1) * emotion.weight, 3),
        round(1 + (full.pitch - 1) * emotion.weight, 3),
    )


def style_named(name: str, weight: float = 1.0) -> Style:
    """Return the style a caller names, by its own name or its emotion's.

    `weight` is 0 for none and 1 for all of it; nothing is stronger than that.
    """
    if not weight >= 0:
        raise InvalidRequest("The style's weight has to be 0 or more; 1 is all of it.", param="style_weight")
    wanted = name.strip().lower()
    for emotion in get_args(EmotionName):
        if wanted in (emotion, _STYLES[emotion].name.lower()):
            return style_of(Emotion(emotion, min(weight, 1.0)))
    known = ", ".join(style.name for style in _STYLES.values())
    raise InvalidRequest(f"There is no style {name[:40]}; use one of {known}.", param="style")


def _strongest(strengths: dict[EmotionName, float], text: str) -> Emotion:
    name = max(_ORDER, key=strengths.__getitem__)
    sentences = len(_SENTENCE_END.findall(text))
    # One sad word colours a sentence, not a page.
    strength = strengths[name] / math.sqrt(max(1, sentences))
    if "!" in text or "！" in text:
        strength *= _EXCLAMATION
    if strength < _THRESHOLD:
        return Emotion("neutral", round(1 - strength, 3))
    return Emotion(name, round(strength / (1 + strength), 3))
