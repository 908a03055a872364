"""The Qwen3-TTS engine on a GPU: CUDA graphs for one, batches for many, memory that does not grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from services.contract.speech import AudioChunk, Generation, join_chunks
from services.tts.engines.qwen3.checkpoints import Checkpoint
from services.tts.engines.qwen3.decoding import FrameDecoder
from services.tts.engines.qwen3.engine import QwenEngine
from services.tts.engines.qwen3.graphs import GraphDecoder
from services.tts.engines.qwen3.model import ModelShelf, Placement, QwenModel
from services.tts.engines.qwen3.prompts import PromptBook
from services.tts.sound import sound_of
from tests.qwen3 import TinyQwen, copied, qwen_engine

FRAME = 1920
EXACT = Placement("cuda:0", "float32")
SENTENCE = "A somewhat longer sentence to say, which goes on for a while."


@pytest.fixture(scope="module")
def engine(tiny_qwen: TinyQwen) -> Iterator[QwenEngine]:
    with qwen_engine(tiny_qwen, placement=EXACT) as made:
        yield made


def spoken(engine: QwenEngine, **fields: object) -> AudioChunk:
    utterance = copied(engine, SENTENCE, **fields)
    return join_chunks([chunk for chunk in engine.synthesize(utterance) if chunk.pcm])


def test_graphs_make_the_frames_of_the_plain_loop(tiny_qwen: TinyQwen, engine: QwenEngine) -> None:
    utterance = replace(copied(engine, SENTENCE), generation=Generation(do_sample=False))
    model = QwenModel(Checkpoint("base", "0.6b", tiny_qwen.base), EXACT)
    prompt = model.prompt(PromptBook(1), utterance)
    by_graph = model.decoder([utterance], [prompt])
    assert isinstance(by_graph, GraphDecoder)
    graph_codes = [by_graph.frames()[0] for _ in range(8)]
    by_graph.drop(0)
    plain = model.decoder([utterance] * 2, [prompt] * 2)
    assert isinstance(plain, FrameDecoder)
    plain_codes = [plain.frames()[0] for _ in range(8)]
    assert torch.equal(torch.stack(graph_codes), torch.stack(plain_codes))


def test_a_stream_comes_in_pieces_and_a_seed_speaks_it_again(engine: QwenEngine) -> None:
    pieces = [chunk for chunk in engine.synthesize(copied(engine, SENTENCE, seed=11)) if chunk.pcm]
    again = sound_of(spoken(engine, seed=11).pcm)
    assert pieces[0].samples == FRAME
    assert len(pieces) > 3
    assert np.abs(sound_of(join_chunks(pieces).pcm) - again).max() < 1e-3


def test_many_at_once_each_get_their_own(engine: QwenEngine) -> None:
    results: dict[int, AudioChunk] = {}

    def speak(at: int) -> None:
        results[at] = spoken(engine, live=at % 2 == 0, generation={"max_new_tokens": 10 + at})

    threads = [threading.Thread(target=speak, args=(at,)) for at in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(0 < results[at].samples <= (10 + at) * FRAME for at in range(12))


def test_memory_does_not_grow(engine: QwenEngine) -> None:
    for live in (True, False):
        spoken(engine, live=live)
    before = torch.cuda.memory_allocated()
    for seed in range(20):
        for live in (True, False):
            spoken(engine, seed=seed, live=live)
    assert torch.cuda.memory_allocated() <= before * 1.02


def test_what_is_least_used_leaves_the_gpu(tiny_qwen: TinyQwen) -> None:
    shelf = ModelShelf(EXACT, budget_bytes=1)
    base = Checkpoint("base", "0.6b", tiny_qwen.base)
    shelf.get(base)
    held = torch.cuda.memory_allocated()
    shelf.get(Checkpoint("custom_voice", "0.6b", tiny_qwen.custom_voice))
    shelf.get(base)
    assert shelf.loaded == [base.name]
    assert torch.cuda.memory_allocated() <= held * 1.05
