"""The Qwen3-TTS speech engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from importlib.metadata import version

import torch

from services.contract.errors import EngineFailed, InvalidRequest
from services.contract.languages import LANGUAGE_NAMES, primary_tag
from services.contract.speech import AUTO, AudioChunk, SpeechRequest, Voice, is_auto, is_gender
from services.tts.engine import Reference, Utterance
from services.tts.engines.genders import by_gender
from services.tts.engines.qwen3.checkpoints import Checkpoint, Checkpoints
from services.tts.engines.qwen3.model import Decoder, ModelShelf, device_is_lost
from services.tts.engines.qwen3.prompts import PromptBook
from services.tts.engines.qwen3.scheduler import SAMPLE_RATE_HZ, Job, Scheduler
from services.tts.engines.qwen3.speakers import speaker_voice
from services.tts.engines.qwen3.take import Take, decoded

_REVISION = 1
"""Goes up whenever the same request sounds different."""

_WARM_UP_TEXT = "Hello."


class QwenEngine:
    """Speaks with whichever checkpoint a request needs; several utterances may be asked for at once."""

    name = "qwen3"
    cloning = True
    ipa = False
    phoneme_marks = False
    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        checkpoints: Checkpoints,
        models: ModelShelf,
        prompts: PromptBook,
        *,
        most_together: int = 8,
        most_live_together: int = 1,
        context_frames: int = 96,
    ) -> None:
        """`most_together` utterances share a batch; `context_frames` go before each piece that is decoded."""
        self.revision = f"{version('qwen-tts-hf')}-{_REVISION}"
        self._checkpoints = checkpoints
        self._models = models
        self._prompts = prompts
        self._context_frames = context_frames
        self._lost = ""
        self._scheduler = Scheduler(self._speak, most_together, most_live_together)

    @property
    def default_voice(self) -> str:
        """The first of the built-in voices; empty where only copied ones speak."""
        return next(iter(self._checkpoints.speakers().values()), "")

    def voices(self) -> Sequence[Voice]:
        """Return the built-in voices of the checkpoints that are here."""
        return [speaker_voice(name) for name in self._checkpoints.speakers()]

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the languages."""
        return list(LANGUAGE_NAMES)

    def checkpoints(self) -> Sequence[str]:
        """Return the names of the checkpoints that are here, the preferred one first."""
        return [one.name for one in self._checkpoints.present()]

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle checkpoint, voice and language. Auto stays: the model hears for itself."""
        text = " ".join(request.text.split())  # a line break in it would break the prompt's template
        if not any(character.isalnum() for character in text):
            raise InvalidRequest("text: there is nothing to say in it.", param="text")
        if request.speed != 1 or request.pitch != 1:
            notices = ["speed and pitch have no effect on Qwen3-TTS; say how to speak with instruct."]
        else:
            notices = []
        checkpoint = self._checkpoints.choose(request)
        if request.instruct and not _takes_instructions(checkpoint):
            notices.append(f"instruct has no effect: {checkpoint.name} takes none.")
        voice = (request.voice or self.default_voice) if checkpoint.kind == "custom_voice" else ""
        if is_gender(voice):
            voice, told = by_gender(self.voices(), voice, self.default_voice)
            notices += told
        return Utterance(
            text=text,
            voice=voice,
            language=_language(request.language),
            model=checkpoint.key,
            instruct=request.instruct if _takes_instructions(checkpoint) else "",
            generation=request.generation,
            seed=request.seed,
            live=request.live,
            notices=tuple(notices),
        )

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech as it is made; closing the generator stops the model at its next frame."""
        job = Job(utterance)
        self._scheduler.submit(job)
        yield from job.chunks()

    def warm_up(self) -> None:
        """Load the preferred checkpoint and speak a word with it."""
        [checkpoint, *_] = self._checkpoints.require_any()
        self._scheduler.call(lambda: self._load(checkpoint))
        utterance = _warm_up_utterance(checkpoint, self.default_voice)
        for _ in self.synthesize(utterance):
            pass

    def check(self) -> None:
        """Raise `Unavailable` when there are no weights, `EngineFailed` when the GPU is lost."""
        if self._lost:
            raise EngineFailed(f"The GPU is lost: {self._lost}")
        self._checkpoints.require_any()

    def forget(self, digest: str) -> None:
        """Drop what was computed from a reference."""
        self._scheduler.call(lambda: self._prompts.forget(digest))

    def close(self) -> None:
        """Stop speaking."""
        self._scheduler.close()

    def _load(self, checkpoint: Checkpoint) -> None:
        self._models.get(checkpoint)

    def _speak(self, jobs: list[Job]) -> list[Job]:
        """Speak a batch, and return the jobs that ran on and should be tried again."""
        try:
            return self._spoken(jobs)
        except RuntimeError as error:
            if device_is_lost(error):
                self._lost = str(error).partition("\n")[0]
            raise

    def _spoken(self, jobs: list[Job]) -> list[Job]:
        utterances = [_varied(job) for job in jobs]
        model = self._models.get(self._checkpoints.by_key(utterances[0].model))
        prompts = [model.prompt(self._prompts, utterance) for utterance in utterances]
        takes = [
            Take(job, model.window(prompt, self._context_frames)) for job, prompt in zip(jobs, prompts, strict=True)
        ]
        _run(model.decoder(utterances, prompts), takes)
        return [replace(take.job, take=take.job.take + 1) for take in takes if take.worth_another]


def _run(decoder: Decoder, takes: list[Take]) -> None:
    """Make frames until all takes are over; what is due at one frame becomes sound together."""
    speaking = set(range(len(takes)))
    while speaking:
        for row, codes in decoder.frames().items() if decoder.rows else ():
            takes[row].push(codes)
            if takes[row].over:
                decoder.drop(row)
        ended = speaking - set(decoder.rows)
        speaking -= ended
        finished = [takes[row] for row in sorted(ended) if not takes[row].worth_another]
        due = [takes[row] for row in sorted(speaking) if takes[row].due]
        sounds = iter(decoded([*due, *finished]))
        for take in due:
            take.send(next(sounds))
        for take in finished:
            take.finish(next(sounds))


def _varied(job: Job) -> Utterance:
    """Return the utterance with the seed of this take; another take needs another one."""
    seed = job.utterance.seed
    if seed is None or job.take == 1:
        return job.utterance
    return replace(job.utterance, seed=seed + job.take - 1)


def _takes_instructions(checkpoint: Checkpoint) -> bool:
    return checkpoint.kind != "base" and checkpoint.size == "1.7b"


def _language(asked: str) -> str:
    if is_auto(asked):
        return AUTO
    if (tag := primary_tag(asked)) in LANGUAGE_NAMES:
        return tag
    raise InvalidRequest(
        f"language: Qwen3-TTS does not speak {asked!r}; it speaks {', '.join(LANGUAGE_NAMES.values())}.",
        param="language",
    )


def _warm_up_utterance(checkpoint: Checkpoint, voice: str) -> Utterance:
    utterance = Utterance(_WARM_UP_TEXT, "", "en", model=checkpoint.key)
    if checkpoint.kind == "base":
        noise = torch.randn(SAMPLE_RATE_HZ, generator=torch.Generator().manual_seed(0)) * 1000
        return replace(utterance, reference=Reference("warm-up", noise.short().numpy().tobytes()))
    if checkpoint.kind == "voice_design":
        return replace(utterance, instruct="A calm voice.")
    return replace(utterance, voice=voice)
