"""The Piper speech engine."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path

import piper

from services.contract.errors import InvalidRequest
from services.contract.speech import AudioChunk, SpeechRequest, Voice
from services.tts.engine import Utterance
from services.tts.engines.assembly import Assembler
from services.tts.engines.catalogue import Catalogue
from services.tts.engines.failures import speaking
from services.tts.engines.files import state_of
from services.tts.engines.marks import TimedLetter, has_letters, written_words
from services.tts.engines.piper.voices import VoiceShelf, voices_in
from services.tts.engines.waiting import waited_for

_REVISION = 1
"""Goes up whenever the same request sounds different."""

_MOST_AT_ONCE = 256


class PiperEngine:
    """Speaks with the voices of one folder; several utterances may use the same one at once."""

    name = "piper"
    cloning = False
    ipa = False
    phoneme_marks = True

    def __init__(self, voices_folder: Path, *, default_voice: str = "", most_loaded: int = 4) -> None:
        """`default_voice` speaks where nothing is asked for. Raises `Unavailable` when the folder has no voice."""
        found = voices_in(voices_folder)
        self._files = {files.name: files for files in found}
        names = {files.language: files.language_name for files in found if files.language_name}
        english = next((files.name for files in found if files.language.startswith("en")), "")
        self._catalogue = Catalogue([files.voice for files in found], names, default=default_voice or english)
        self._shelf = VoiceShelf(most_loaded)
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="piper")
        self.revision = f"{version('piper-tts')}-{_REVISION}-{state_of(*(files.model for files in found))}"
        self.default_voice = self._catalogue.default.name
        self.sample_rate_hz = self._files[self.default_voice].sample_rate_hz

    def voices(self) -> Sequence[Voice]:
        """Return the voices of the folder."""
        return self._catalogue.voices

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the voices' languages."""
        return self._catalogue.languages

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle voice and language without speaking; NAME#SPEAKER is one speaker of a voice that has several."""
        name, _, speaker = request.voice.partition("#")
        utterance = self._catalogue.resolve(request.model_copy(update={"voice": name}))
        self._files[utterance.voice].speaker(speaker)
        return replace(utterance, voice=f"{utterance.voice}#{speaker}") if speaker else utterance

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech sentence by sentence, at the voice's own rate; closed early, it leaves the rest unspoken."""
        name, _, speaker = utterance.voice.partition("#")
        files = self._files[name]
        rate_hz = files.sample_rate_hz
        voice = yield from waited_for(self._threads, partial(self._shelf.get, files), rate_hz)
        text = utterance.text.replace("[[", "[ [")  # which would begin phonemes
        with speaking("Piper"):
            phonemes = " ".join("".join(sentence) for sentence in voice.phonemize(text))
        if not has_letters(phonemes):
            raise InvalidRequest(f"text: nothing in it can be spoken in {utterance.language}.", param="text")
        speech = Assembler(rate_hz, written_words(utterance.text, phonemes), shift=utterance.pitch)
        config = piper.SynthesisConfig(
            speaker_id=files.speaker(speaker), length_scale=voice.config.length_scale / utterance.speed
        )
        sentences = iter(voice.synthesize(text, config, include_alignments=True))
        while sentence := (yield from waited_for(self._threads, partial(_next, sentences), rate_hz)):
            yield speech.chunk(sentence.audio_float_array, _timed(sentence))

    def warm_up(self) -> None:
        """Load the default voice and say a word with it."""
        for _ in self.synthesize(Utterance("1", self.default_voice, self._catalogue.default.language)):
            pass

    def check(self) -> None:
        """Raise `Unavailable` when the default voice is gone and not loaded."""
        self._shelf.get(self._files[self.default_voice])

    def forget(self, digest: str) -> None:
        """Nothing is ever computed from references."""

    def close(self) -> None:
        """Let the sentences at work be the last."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _next(sentences: Iterator[piper.AudioChunk]) -> piper.AudioChunk | None:
    with speaking("Piper"):
        return next(sentences, None)


def _timed(sentence: piper.AudioChunk) -> list[TimedLetter]:
    """Return when each letter is heard; nothing where the voice's model does not tell."""
    aligned = sentence.phoneme_alignments or []
    edges_s = [samples / sentence.sample_rate for samples in accumulate((a.num_samples for a in aligned), initial=0)]
    return [(a.phoneme, start_s, end_s) for a, (start_s, end_s) in zip(aligned, pairwise(edges_s), strict=True)]
