"""From speech to everything a face does, frame by frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from services.avatar.engines.portrait.acoustics import level_db, listen
from services.avatar.engines.portrait.articulation import Articulation, articulate
from services.avatar.engines.portrait.beats import emphasis, loudest_times_s, stressed_times_s
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.expression import MOUTH_SHAPES, Expression, HeadPose, MouthTrack
from services.avatar.engines.portrait.idle import Idle, idle
from services.avatar.engines.portrait.instants import Floats, Instants
from services.avatar.engines.portrait.mouth import frame_mouths
from services.avatar.engines.portrait.phonemes import Phonemes
from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk
from services.contract.video import Timeline

_JAW, _ROUND, _SMILE = (MOUTH_SHAPES.index(name) for name in ("jaw", "round", "smile"))
_APERTURE = [MOUTH_SHAPES.index(name) for name in ("jaw", "up", "low")]

_QUIETEST_DB, _LOUDEST_DB = -36.0, -12.0
"""Between these the mouth opens with the loudness; they fit speech levelled near -16 LUFS."""


def perform(
    speech: AudioChunk, first_frame: int, fps: Fraction, *, seed: int, motion: MotionPath | None = None
) -> list[Expression]:
    """Return exactly the expressions of the frames that hold `speech`, the first of which is `first_frame`.

    The mouth follows the phoneme marks of `speech` where it has any, and its sound where it has none.
    Everything else follows `motion`, by default the film's time, and `seed`, so segments cut in pauses join
    unseen. Speech
    is expected near -16 LUFS; nothing is measured over the whole utterance.
    """
    frames = Timeline(fps, speech.sample_rate_hz).frames_to_hold(first_frame, speech.samples)
    if not frames:
        return []
    instants = Instants(fps, speech.sample_rate_hz, first_frame, frames)
    moments_s = instants.film_times_s() if motion is None else _moments_s(motion, fps)
    resting = idle(moments_s, seed)
    articulation, beats_s = _speak(speech, instants)
    mouths = _smiling(frame_mouths(articulation, instants), resting)
    nods = emphasis(beats_s, articulation.presence, instants, moments_s, seed)
    return _expressions(mouths, nods, resting)


def _moments_s(motion: MotionPath, fps: Fraction) -> Floats:
    return np.array([float((motion.at(frame) + Fraction(1, 2)) / fps) for frame in range(motion.frames)])


def _speak(speech: AudioChunk, instants: Instants) -> tuple[Articulation, Floats]:
    """Return the articulation, and when its stressed syllables are heard."""
    phones = Phonemes().phones(speech.marks)
    level = level_db(speech, instants)
    articulation = articulate(phones, instants) if phones else listen(speech, instants)
    loudness = smoothstep((level - _QUIETEST_DB) / (_LOUDEST_DB - _QUIETEST_DB))
    articulation.weights[:, _APERTURE] *= (0.35 + 0.72 * loudness)[:, None]
    return articulation, stressed_times_s(phones) if phones else loudest_times_s(level, instants)


def _smiling(mouths: MouthTrack, resting: Idle) -> MouthTrack:
    """Add the resting smile, which rounded and wide open mouths have less of."""
    room = (1 - 0.6 * mouths[:, _ROUND]) * (1 - 0.3 * mouths[:, _JAW])
    mouths[:, _SMILE] += (resting.smile * room).astype(np.float32)
    return mouths


def _expressions(mouths: MouthTrack, nods: Floats, resting: Idle) -> list[Expression]:
    pitch = resting.pitch + 0.05 * nods
    y = resting.y + 0.012 * nods
    brow = np.clip(resting.brow + 0.4 * nods, -1, 1)
    heads = zip(resting.x, y, resting.roll, resting.yaw, pitch, strict=True)
    eyes = zip(resting.blink, resting.gaze_x, resting.gaze_y, brow, resting.breath, strict=True)
    return [
        Expression(
            mouth=mouth,
            head=HeadPose(*map(float, head)),
            blink=float(blink),
            gaze=(float(gaze_x), float(gaze_y)),
            brow=float(raised),
            breath=float(breath),
        )
        for mouth, head, (blink, gaze_x, gaze_y, raised, breath) in zip(mouths, heads, eyes, strict=True)
    ]
