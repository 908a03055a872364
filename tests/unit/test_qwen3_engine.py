"""The Qwen3-TTS engine over real loaders and tiny checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.contract.errors import EngineFailed, InvalidRequest, Unavailable
from services.contract.speech import AudioChunk, SpeechRequest, join_chunks
from services.tts.engine import Utterance
from services.tts.engines.qwen3.checkpoints import Checkpoints
from services.tts.engines.qwen3.engine import QwenEngine
from services.tts.engines.qwen3.guard import frame_budget
from services.tts.engines.qwen3.model import ModelShelf, Placement, QwenModel
from services.tts.engines.qwen3.prompts import PromptBook
from services.tts.sound import Sound, sound_of
from tests.qwen3 import REFERENCE, TinyQwen, copied, qwen_engine

FRAME = 1920
SENTENCE = "A somewhat longer sentence to say, which goes on for a while."


@pytest.fixture(scope="module")
def engine(tiny_qwen: TinyQwen) -> Iterator[QwenEngine]:
    with qwen_engine(tiny_qwen) as made:
        yield made


def spoken(engine: QwenEngine, utterance: Utterance) -> AudioChunk:
    return join_chunks([chunk for chunk in engine.synthesize(utterance) if chunk.pcm])


def sound(chunk: AudioChunk) -> Sound:
    return sound_of(chunk.pcm)


def test_speech_is_whole_codec_frames(engine: QwenEngine) -> None:
    speech = spoken(engine, copied(engine, "Hello.", live=False))
    assert speech.sample_rate_hz == 24_000
    assert speech.samples > 0
    assert speech.samples % FRAME == 0


@pytest.mark.parametrize("transcript", ["hello there", ""])
def test_frames_are_those_of_the_package(tiny_qwen: TinyQwen, engine: QwenEngine, transcript: str) -> None:
    from qwen_tts import Qwen3TTSModel

    reference = replace(REFERENCE, transcript=transcript)
    seed = 21 if transcript else 6  # takes that end by themselves
    ours = sound(spoken(engine, copied(engine, SENTENCE, reference, seed=seed, live=False)))
    package = Qwen3TTSModel.from_pretrained(str(tiny_qwen.base), device_map="cpu", dtype=torch.float32)
    prompt = PromptBook(1).prompt(package, "test", reference)
    torch.manual_seed(seed)
    [theirs], _ = package.generate_voice_clone(
        text=SENTENCE, language="English", voice_clone_prompt=[prompt], max_new_tokens=400
    )
    shared = min(len(ours), len(theirs))
    assert shared > 10 * FRAME
    assert np.abs(ours[:shared] - theirs[:shared]).max() < 1e-3
    assert len(ours) == len(theirs) or len(ours) == frame_budget(SENTENCE) * FRAME


def test_a_stream_comes_in_growing_pieces_and_equals_the_whole(engine: QwenEngine) -> None:
    utterance = copied(engine, SENTENCE, seed=11)
    pieces = [chunk for chunk in engine.synthesize(utterance) if chunk.pcm]
    frames = [piece.samples // FRAME for piece in pieces]
    assert frames[:4] == [1, 4, 8, 12]
    whole = sound(spoken(engine, replace(utterance, live=False)))
    streamed = sound(join_chunks(pieces))
    assert len(streamed) == len(whole)
    assert np.abs(streamed - whole).max() < 1e-3
    assert np.abs(whole).max() > 0.05


def test_a_seed_speaks_the_same_take_again_and_another_one_does_not(engine: QwenEngine) -> None:
    first, again, other = (spoken(engine, copied(engine, "Hello there.", seed=seed, live=False)) for seed in (5, 5, 6))
    assert first.pcm == again.pcm
    assert first.pcm != other.pcm


def test_leaving_stops_the_model_within_a_frame(engine: QwenEngine) -> None:
    utterance = copied(engine, SENTENCE * 4, seed=3)
    chunks = engine.synthesize(utterance)
    next(chunk for chunk in chunks if chunk.pcm)
    chunks.close()
    decoded = []
    engine._scheduler.call(lambda: decoded.append(True))  # done between two batches: the first one is over
    assert decoded


def test_leaving_before_the_first_sound_is_possible(engine: QwenEngine) -> None:
    chunks = engine.synthesize(copied(engine, SENTENCE * 8, live=False))
    assert next(chunks).pcm == b""
    chunks.close()
    assert spoken(engine, copied(engine, "Hi.", live=False)).samples


def test_several_are_spoken_together_and_each_gets_its_own(tiny_qwen: TinyQwen) -> None:
    with qwen_engine(tiny_qwen, only_base=True) as engine:
        texts = ["Hi.", "A sentence of middling length.", SENTENCE * 2, "And one more to end it."]
        utterances = [copied(engine, text, live=False, generation={"max_new_tokens": 30}) for text in texts]
        results: dict[int, AudioChunk] = {}
        blocker = engine.synthesize(copied(engine, SENTENCE, seed=1))
        next(blocker)  # while it speaks, the others gather

        def speak(at: int) -> None:
            results[at] = spoken(engine, utterances[at])

        threads = [threading.Thread(target=speak, args=(at,)) for at in range(len(texts))]
        for thread in threads:
            thread.start()
        for _ in blocker:
            pass
        for thread in threads:
            thread.join()
        assert sorted(results) == list(range(len(texts)))
        assert all(0 < result.samples <= 30 * FRAME for result in results.values())
        assert len({result.pcm for result in results.values()}) == len(texts)


def test_a_batch_speaks_what_one_at_a_time_would(tiny_qwen: TinyQwen) -> None:
    """Without sampling a row must not depend on its neighbours, nor on those that ended before it."""
    from services.tts.engines.qwen3.scheduler import Job

    with qwen_engine(tiny_qwen, only_base=True) as engine:
        texts = ["Hi there.", SENTENCE, "Something in between these two."]
        greedy = {"do_sample": False, "max_new_tokens": 40}
        utterances = [copied(engine, text, live=False, generation=greedy) for text in texts]
        alone = [spoken(engine, utterance) for utterance in utterances]
        jobs = [Job(replace(utterance)) for utterance in utterances]
        engine._scheduler.call(lambda: engine._speak(jobs) and None)
        together = [join_chunks([chunk for chunk in job.chunks() if chunk.pcm]) for job in jobs]
        for one, other in zip(alone, together, strict=True):
            shared = min(one.samples, other.samples, 12 * FRAME)
            assert np.abs(sound(one)[:shared] - sound(other)[:shared]).max() < 2e-2


def test_speech_that_runs_on_is_spoken_again_or_cut(engine: QwenEngine) -> None:
    utterance = copied(engine, "Hi.", live=False)
    budget = frame_budget("Hi.")
    takes = [spoken(engine, utterance)]
    while len(takes) < 12 and takes[-1].samples < budget * FRAME:
        takes.append(spoken(engine, utterance))
    assert all(take.samples <= budget * FRAME for take in takes)
    again = [take for take in takes if take.takes > 1]
    assert again, "random weights run on often enough"
    cut = [take for take in takes if take.samples == budget * FRAME]
    assert all("cut after" in " ".join(take.notices) and take.takes == 3 for take in cut)
    assert all(abs(int(np.frombuffer(take.pcm, "<i2")[-1])) < 200 for take in cut)


def test_a_client_may_ask_for_less(engine: QwenEngine) -> None:
    speech = spoken(engine, copied(engine, SENTENCE, seed=11, generation={"max_new_tokens": 5}))
    assert speech.samples == 5 * FRAME
    assert speech.takes == 1


def test_voices_and_checkpoints_are_chosen_by_what_is_asked(engine: QwenEngine) -> None:
    def chosen(**fields: object) -> str:
        request = SpeechRequest.model_validate({"text": "Hello", "language": "en"} | fields)
        return engine.resolve(request).model.split("@")[0]

    assert chosen(reference="cd" * 32) == "base_0.6b"
    assert chosen(voice="ryan") == "custom_voice_0.6b"
    assert chosen(voice="Ryan", instruct="Whisper.") == "custom_voice_1.7b"
    assert chosen(voice="ryan", model_size="1.7b") == "custom_voice_1.7b"
    assert chosen(instruct="An old man.") == "voice_design_1.7b"
    assert chosen() == "custom_voice_0.6b"
    with pytest.raises(Unavailable, match=r"1\.7b checkpoint that copies voices"):
        chosen(reference="cd" * 32, model_size="1.7b")
    with pytest.raises(InvalidRequest, match="neither built"):
        chosen(voice="nobody")
    with pytest.raises(InvalidRequest, match="does not speak 'Finnish'"):
        chosen(language="Finnish")


@pytest.mark.parametrize("language", ["Auto", "en", "ja"])
def test_a_gender_is_one_voice_for_every_language(engine: QwenEngine, language: str) -> None:
    def voice(**fields: str) -> str:
        utterance = engine.resolve(SpeechRequest.model_validate({"text": "Hello", "language": language} | fields))
        assert not utterance.notices
        return utterance.voice

    genders = {known.name: known.gender for known in engine.voices()}
    for gender in ("female", "male"):
        spoke = voice(voice=gender)
        assert spoke == next(name for name in genders if genders[name] == gender)
    assert voice(voice="male", instruct="An old man.") == ""  # a description says more


@pytest.mark.parametrize(
    "fields", [{"voice": "Ryan"}, {"voice": "Ryan", "instruct": "Sadly."}, {"instruct": "A child."}]
)
def test_built_in_and_described_voices_speak(engine: QwenEngine, fields: dict[str, str]) -> None:
    request = SpeechRequest.model_validate({"text": "Hello there", "language": "en", "live": False} | fields)
    assert spoken(engine, engine.resolve(request)).samples % FRAME == 0


def test_what_has_no_effect_is_told(engine: QwenEngine) -> None:
    utterance = copied(engine, "Hello", instruct="Sadly.", speed=1.5, live=False)
    assert "instruct has no effect" in " ".join(utterance.notices)
    assert "speed and pitch have no effect" in " ".join(utterance.notices)
    assert not spoken(engine, utterance).notices  # who asks next may not have asked for it


def test_prompts_are_computed_once_and_shared_without_pickle(tiny_qwen: TinyQwen) -> None:
    class Shelf:
        def __init__(self) -> None:
            self.kept: dict[str, bytes] = {}

        def get(self, key: str) -> bytes | None:
            return self.kept.get(key)

        def put(self, key: str, value: bytes) -> None:
            self.kept[key] = value

    shelf = Shelf()
    with qwen_engine(tiny_qwen, only_base=True, shelf=shelf) as engine:
        first = spoken(engine, copied(engine, "Hello there.", seed=4, live=False))
        assert [key.split(":")[0] for key in shelf.kept] == [REFERENCE.digest]
    with qwen_engine(tiny_qwen, only_base=True, shelf=shelf) as engine:
        silent = replace(REFERENCE, pcm=bytes(len(REFERENCE.pcm)))  # the sound is not needed any more
        again = spoken(engine, copied(engine, "Hello there.", silent, seed=4, live=False))
    assert again.pcm == first.pcm
    assert all(value[8:9] == b"{" for value in shelf.kept.values())  # safetensors: length, then JSON


def test_the_least_used_checkpoint_makes_room(tiny_qwen: TinyQwen) -> None:
    with qwen_engine(tiny_qwen, budget_bytes=1) as engine:
        engine.warm_up()
        assert engine._models.loaded == ["base_0.6b"]
        spoken(engine, engine.resolve(SpeechRequest(text="Hi", voice="Ryan", language="en", live=False)))
        assert engine._models.loaded == ["custom_voice_0.6b"]


def test_missing_weights_are_told_with_the_cure(tmp_path: Path) -> None:
    checkpoints = Checkpoints({("base", "0.6b"): tmp_path / "none"}, "base_0.6b")
    engine = QwenEngine(checkpoints, ModelShelf(Placement()), PromptBook(1))
    try:
        for call in (engine.check, engine.warm_up):
            with pytest.raises(Unavailable, match="fetch-models qwen3"):
                call()
    finally:
        engine.close()


def test_flash_attention_is_not_silently_left_out(tiny_qwen: TinyQwen) -> None:
    models = ModelShelf(Placement(flash_attention=True))
    engine = QwenEngine(Checkpoints({("base", "0.6b"): tiny_qwen.base}, "base_0.6b"), models, PromptBook(1))
    try:
        with pytest.raises(Unavailable, match="flash-attn is not installed"):
            engine.warm_up()
    finally:
        engine.close()


def test_a_broken_checkpoint_fails_its_request_only(tiny_qwen: TinyQwen, engine: QwenEngine) -> None:
    from services.contract.errors import EngineFailed

    broken = replace(copied(engine, "Hello", live=False), reference=None)  # the package refuses None as a prompt
    with pytest.raises(EngineFailed):
        spoken(engine, broken)
    assert spoken(engine, copied(engine, "Hello", live=False)).samples


def test_a_lost_gpu_is_told_and_a_full_one_is_not_lost(tiny_qwen: TinyQwen, monkeypatch: pytest.MonkeyPatch) -> None:
    with qwen_engine(tiny_qwen, only_base=True) as engine:
        utterance = copied(engine, "Hello.")

        def breaks_with(error: RuntimeError) -> None:
            def decoder(*_: object) -> None:
                raise error

            monkeypatch.setattr(QwenModel, "decoder", decoder)
            with pytest.raises(EngineFailed, match="broke"):
                spoken(engine, utterance)

        breaks_with(torch.OutOfMemoryError("CUDA out of memory."))
        engine.check()
        breaks_with(RuntimeError("CUDA error: an illegal memory access was encountered"))
        with pytest.raises(EngineFailed, match="illegal memory access"):
            engine.check()
