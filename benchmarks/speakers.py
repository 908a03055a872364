"""Speech whose phonemes are known, from every synthesizer this machine has.

espeak-ng is always there. flite and festival (Debian: `apt-get install flite festival festvox-kdlpc16k
festvox-italp16k festvox-itapc16k festvox-ru festvox-suopuhe-lj festvox-suopuhe-mv festvox-czech-dita
festvox-czech-machac`) speak with cut-up recordings of real people, and tell where each phoneme begins.
"""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from services.contract.speech import AudioChunk, Mark, join_chunks
from services.tts.engine import Utterance
from services.tts.engines.espeak.engine import EspeakEngine

_LEVEL_DB = -16.0


@dataclass(frozen=True)
class RecordedVoice:
    """A voice of festival: its Scheme name, the encoding its text wants, and its phonemes in IPA."""

    scheme: str
    language: str
    encoding: str
    ipa: dict[str, str]


ARPABET = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "ay": "aɪ", "ch": "tʃ", "dh": "ð", "eh": "ɛ",
    "er": "ɚ", "ey": "eɪ", "g": "ɡ", "hh": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ",
    "r": "ɹ", "sh": "ʃ", "th": "θ", "uh": "ʊ", "uw": "u", "y": "j", "zh": "ʒ",
}  # fmt: skip
_ITALIAN = {"E": "ɛ", "O": "ɔ", "S": "ʃ", "J": "ɲ", "L": "ʎ", "ng": "ŋ", "nf": "ɱ", "tS": "tʃ", "dZ": "dʒ"}
_FINNISH = {"N": "ŋ", "v": "ʋ"}
_CZECH = {
    "c~": "tʃ", "s~": "ʃ", "n~": "ɲ", "z~": "ʒ", "t~": "c", "d~": "ɟ", "r~": "ʒ", "r~*": "ʃ", "ch": "x", "c": "ts",
    "n*": "ŋ",
}  # fmt: skip
_RUSSIAN = {
    "ay": "ɪ", "ae": "ə", "y": "ɨ", "yy": "ɨ", "ur": "ʊ", "ch": "tʃ", "sh": "ʃ", "sch": "ɕ", "zh": "ʒ", "h": "x",
    "hh": "x", "c": "ts",
}  # fmt: skip
_PAUSES = ("#", "_", "pau")

FLITE_VOICES = ("slt", "rms", "awb", "kal16")
FESTIVAL_VOICES = {
    "ked": RecordedVoice("ked_diphone", "en", "ascii", ARPABET),
    "lp": RecordedVoice("lp_diphone", "it", "latin-1", _ITALIAN),
    "pc": RecordedVoice("pc_diphone", "it", "latin-1", _ITALIAN),
    "nsh": RecordedVoice("msu_ru_nsh_clunits", "ru", "utf-8", _RUSSIAN),
    "lj": RecordedVoice("suo_fi_lj_diphone", "fi", "latin-1", _FINNISH),
    "mv": RecordedVoice("hy_fi_mv_diphone", "fi", "latin-1", _FINNISH),
    "dita": RecordedVoice("czech_dita", "cs", "iso-8859-2", _CZECH),
    "machac": RecordedVoice("czech_machac", "cs", "iso-8859-2", _CZECH),
}


def espeak(engine: EspeakEngine, utterance: Utterance) -> AudioChunk:
    """Return `utterance` as the product speaks it."""
    return join_chunks(list(engine.synthesize(utterance)))


def flite(voice: str, text: str) -> AudioChunk:
    """Return English `text` in one of FLITE_VOICES."""
    with TemporaryDirectory() as folder:
        sound = Path(folder, "speech.wav")
        command = ["flite", "-voice", voice, "-t", text, "-psdur", "-o", str(sound)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        ends = [(phone, float(end_s)) for phone, end_s in (item.split(":") for item in told.split())]
        return _recording(sound, ends, ARPABET)


def festival(voice: RecordedVoice, texts: Sequence[str]) -> Iterator[AudioChunk]:
    """Yield each of `texts` in `voice`."""
    with TemporaryDirectory() as folder:
        program = [f"(voice_{voice.scheme})"]
        for index, text in enumerate(texts):
            program += [
                f"(set! spoken (utt.synth (eval (list 'Utterance 'Text \"{text}\"))))",
                f'(utt.save.wave spoken "{folder}/{index}.wav")',
                f'(utt.save.segs spoken "{folder}/{index}.segs")',
            ]
        script = Path(folder, "program.scm")
        script.write_bytes("\n".join(program).encode(voice.encoding, "ignore"))
        subprocess.run(["festival", "-b", str(script)], capture_output=True, check=True)
        for index in range(len(texts)):
            rows = [line.split() for line in Path(folder, f"{index}.segs").read_text("latin-1").splitlines()]
            ends = [(row[2], float(row[0])) for row in rows if len(row) == 3]
            yield _recording(Path(folder, f"{index}.wav"), ends, voice.ipa)


def _recording(sound: Path, ends: Sequence[tuple[str, float]], ipa: dict[str, str]) -> AudioChunk:
    with wave.open(str(sound)) as reader:
        pcm, sample_rate_hz = reader.readframes(reader.getnframes()), reader.getframerate()
    starts_s = [0.0, *(end_s for _, end_s in ends)]
    marks = tuple(
        Mark(kind="phoneme", text=_to_ipa(phone, ipa), start_s=start_s, end_s=end_s)
        for (phone, end_s), start_s in zip(ends, starts_s, strict=False)
    )
    return AudioChunk(_levelled(pcm), sample_rate_hz, marks)


def _to_ipa(phone: str, ipa: dict[str, str]) -> str:
    if phone in _PAUSES:
        return ""
    phone = phone.rstrip("1")  # stress, in Italian
    if phone not in ipa and len(phone) == 2 and phone[0] == phone[1]:
        phone = phone[0]  # palatalized or stressed, in Russian
    return ipa.get(phone, phone)


def _levelled(pcm: bytes) -> bytes:
    """Return `pcm` about as loud as the product's own speech."""
    sound = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
    loudness = np.convolve(np.abs(sound), np.full(200, 1 / 200), "same")
    spoken = sound[loudness > 0.01]
    gain = 10 ** ((_LEVEL_DB + 1) / 20) / np.sqrt(np.mean(np.square(spoken)))
    return (np.clip(sound * gain, -1, 1) * 32767).astype("<i2").tobytes()
