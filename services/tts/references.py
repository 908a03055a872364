"""Reference audio: decodes it, refuses what no voice can be copied from, and brings it to one form."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass

import av
import numpy as np

from services.contract.errors import InvalidRequest, NotFound, TooLarge, UnsupportedMedia
from services.contract.speech import ReferenceInfo
from services.tts.loudness import integrated_loudness_lufs
from services.tts.sound import Sound, pcm_of

RATE_HZ = 24_000

_SHORTEST_S, _GOOD_S = 1.0, 3.0
_QUIETEST_LUFS = -50.0
_LOUDNESS_LUFS = -20.0
_PEAK = 0.95
_CLIPPED_SHARE = 0.001
_LONG_SYLLABLES = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_LONG_SYLLABLE_LETTERS = 3
"""A Chinese, Japanese or Korean character takes as long as so many letters."""

_FASTEST_LETTERS_PER_S, _SLOWEST_LETTERS_PER_S = 35.0, 2.5


@dataclass(frozen=True)
class ReferenceSound:
    """Reference audio, ready for every engine."""

    pcm: bytes
    """16-bit mono at 24 kHz."""
    info: ReferenceInfo


def read_reference(data: bytes, longest_s: float) -> ReferenceSound:
    """Return the reference in an audio file of any common format. Blocking.

    Raises `UnsupportedMedia` for what is no audio, `TooLarge` for too long a clip, `InvalidRequest`
    for one that is too short or silent.
    """
    sound = _decode(data, longest_s)
    duration_s = len(sound) / RATE_HZ
    if duration_s < _SHORTEST_S:
        raise InvalidRequest(
            f"ref_audio: {duration_s:.1f} s are too little to copy a voice from; send 3 to 30 s of clear speech.",
            param="ref_audio",
        )
    loudness = integrated_loudness_lufs(sound, RATE_HZ)
    if not loudness > _QUIETEST_LUFS:
        raise InvalidRequest("ref_audio: it is silent; send 3 to 30 s of clear speech.", param="ref_audio")
    notices = _advice(sound, duration_s)
    pcm = pcm_of(_levelled(sound, loudness))
    digest = hashlib.sha256(pcm).hexdigest()
    info = ReferenceInfo(reference=digest, duration_s=duration_s, loudness_lufs=round(loudness, 1), notices=notices)
    return ReferenceSound(pcm, info)


def usable_transcript(transcript: str, duration_s: float) -> tuple[str, list[str]]:
    """Return the transcript to use for a clip, empty for none, and what is to be told about it.

    Raises `InvalidRequest` for one that cannot have been said in the time. A transcript of only a
    part of the clip would make the copy babble: then the timbre alone is copied.
    """
    transcript = " ".join(transcript.split())
    if not transcript:
        return "", ["Without a transcript of the reference, its timbre alone is copied (x-vector)."]
    letters = len(transcript) + (_LONG_SYLLABLE_LETTERS - 1) * len(_LONG_SYLLABLES.findall(transcript))
    pace = letters / duration_s
    if pace > _FASTEST_LETTERS_PER_S:
        raise InvalidRequest(
            f"ref_text: {len(transcript)} characters cannot have been said in {duration_s:.1f} s; "
            "send the transcript of this very clip.",
            param="ref_text",
        )
    if pace < _SLOWEST_LETTERS_PER_S:
        return "", [
            f"The transcript is too short for {duration_s:.1f} s of reference, so it is not used and the timbre "
            "alone is copied (x-vector); transcribe the whole clip."
        ]
    return transcript, []


def unknown_reference(digest: str) -> NotFound:
    """Return the error for a reference that is no longer kept."""
    return NotFound(f"There is no reference {digest[:12]}…; upload it again.", param="reference")


def _decode(data: bytes, longest_s: float) -> Sound:
    try:
        with av.open(io.BytesIO(data), "r") as file:
            if not file.streams.audio:
                raise UnsupportedMedia("ref_audio: there is no sound in the file.", param="ref_audio")
            return _read(file, longest_s)
    except (av.error.FFmpegError, ValueError) as error:
        raise UnsupportedMedia(
            "ref_audio: this is no audio file that can be read; send wav, mp3, ogg, m4a or flac.", param="ref_audio"
        ) from error


def _read(file: av.container.InputContainer, longest_s: float) -> Sound:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    pieces: list[Sound] = []
    samples = 0
    for frame in file.decode(audio=0):
        for part in resampler.resample(frame):
            pieces.append(part.to_ndarray()[0])
            samples += part.samples
        if samples > longest_s * RATE_HZ:
            raise TooLarge(
                f"ref_audio: it is longer than {longest_s:.0f} s; send 3 to 30 s of clear speech.", param="ref_audio"
            )
    pieces += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def _advice(sound: Sound, duration_s: float) -> list[str]:
    advice = []
    if duration_s < _GOOD_S:
        advice.append(f"The reference is only {duration_s:.1f} s long; 3 to 30 s copy better.")
    if np.mean(np.abs(sound) >= 0.999) > _CLIPPED_SHARE:
        advice.append("The reference is overdriven; a cleaner recording copies better.")
    return advice


def _levelled(sound: Sound, loudness: float) -> Sound:
    """Bring the clip to one loudness: quiet references make quiet, unsteady copies."""
    gain = 10 ** ((_LOUDNESS_LUFS - loudness) / 20)
    levelled: Sound = sound * np.float32(min(gain, _PEAK / max(float(np.abs(sound).max()), 1e-6)))
    return levelled
