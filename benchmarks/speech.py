"""How soon and how fast cloned speech comes, beside the plain package in the same run.

    python -m benchmarks.speech                              tiny random weights, on this machine's CPU
    python -m benchmarks.speech --device cuda:0 --size 0.6b   random weights of full size, on a GPU

Random weights speak noise and never come to an end, so every sentence is cut at the same length.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report import report
from tests.checkpoints.qwen3 import SIZES, TINY, build_qwen3
from tests.clips import GOOD
from tests.processes import running_stack
from tests.qwen3 import voice_like

Row = dict[str, Any]

SENTENCE = "People who hear this sentence should hear all of it, from the first word to the last one."
SHORT_TEXT = ["Two sentences are about a hundred characters long.", "They can be spoken side by side, or in turn."]
LONG_TEXT = [
    f"This is sentence number {number} of a longer text, and it is about as long as sentences are."
    for number in ("one", "two", "three", "four", "five", "six")
]
TRANSCRIPT = "This is what is said in the clip."
RATE_HZ, SAMPLE_BYTES = 24_000, 2
FRAMES = 60
"""Codec frames of a sentence at most: few enough that none of them counts as running on."""
PHRASE_FRAMES = 20
ROUNDS = 5
WARM_ROUNDS = 200


def main() -> None:
    """Measure, print the tables and keep them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--size", default="tiny", choices=["tiny", *SIZES])
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = build_qwen3(Path(folder) / "base", dimensions=SIZES.get(asked.size, TINY), endless=True)
        with serving(checkpoint, asked.device, Path(folder)) as client:
            rows = [
                *against_package(client, checkpoint, asked.device),
                *concurrent(client),
                ten_at_once(client),
                side_by_side(client, SHORT_TEXT),
                side_by_side(client, LONG_TEXT),
                cache(client),
                cached_phrase(client),
            ]
    name = "speech" if asked.size == "tiny" else f"speech_{asked.size}_{asked.device.split(':')[0]}"
    report(name, rows)


@contextmanager
def serving(checkpoint: Path, device: str, folder: Path) -> Iterator[httpx.Client]:
    """Run the whole product over `checkpoint`."""
    environment = {
        "TTS_ENGINE": "qwen3",
        "TTS_DEVICE": device,
        "TTS_THREADS": "1",
        "MODEL_0_6B_BASE": str(checkpoint),
        "TTS_VOICES_DIR": str(folder / "voices"),
    }
    with running_stack(environment=environment) as url, httpx.Client(base_url=url, timeout=600) as client:
        while client.get("/health/ready").status_code != 200:
            time.sleep(0.2)
        clip = {"audio_sample": GOOD}
        client.post("/v1/audio/voices", data={"name": "ann", "transcript": TRANSCRIPT}, files=clip).raise_for_status()
        yield client


def against_package(client: httpx.Client, checkpoint: Path, device: str) -> list[Row]:
    """One sentence: the package makes it whole, we stream it."""
    package = _Package(checkpoint, device)
    package.speak()
    _stream(client)
    ours, theirs = [], []
    for _ in range(ROUNDS * 3):
        theirs.append(package.speak())
        ours.append(_stream(client))
    first = statistics.median(first_s for first_s, _, _ in ours)
    their_first = statistics.median(took_s for took_s, _ in theirs)
    rtf = statistics.median(took_s / audio_s for _, took_s, audio_s in ours)
    their_rtf = statistics.median(took_s / audio_s for took_s, audio_s in theirs)
    return [
        row("first sound, plain package", their_first, their_first / first, "s", f"streamed: {first:.3f} s"),
        row("work per second of sound, plain package", their_rtf, their_rtf / rtf, "s/s", f"streamed: {rtf:.3f} s/s"),
    ]


def concurrent(client: httpx.Client) -> list[Row]:
    """Sound per second of waiting, with several clients at once."""
    speeds = {
        clients: statistics.median(_speed(client, clients, clients) for _ in range(ROUNDS)) for clients in (1, 4, 16)
    }
    return [
        row(f"{clients} clients", speed, speed / speeds[1], "s of sound/s", "against 1 client")
        for clients, speed in speeds.items()
    ]


def ten_at_once(client: httpx.Client) -> Row:
    """Ten requests one after the other, and together."""
    _speed(client, 10, 10)  # opens the connections
    alone = statistics.median(_speed(client, 1, 10) for _ in range(ROUNDS))
    together = statistics.median(_speed(client, 10, 10) for _ in range(ROUNDS))
    return row("10 requests at once", together, together / alone, "s of sound/s", f"one after the other: {alone:.2f}")


def side_by_side(client: httpx.Client, sentences: Sequence[str]) -> Row:
    """Sentences asked for one after the other, and as one text."""

    def speed(texts: Sequence[str]) -> float:
        made = [_clone(client, text) for text in texts]
        return sum(audio_s for _, audio_s in made) / sum(took_s for took_s, _ in made)

    text = " ".join(sentences)
    one, many = (statistics.median(speed(texts) for _ in range(ROUNDS)) for texts in (sentences, [text]))
    return row(f"{len(text)} characters side by side", many, many / one, "s of sound/s", f"one at a time: {one:.2f}")


def cache(client: httpx.Client) -> Row:
    """The same request made and kept."""
    texts = [SENTENCE.replace("People", name) for name in ("Anna", "Peter", "Maria", "Thomas", "Those")]
    miss = statistics.median(_clone(client, text, use_cache=True)[0] for text in texts)
    hit = statistics.median(_clone(client, text, use_cache=True)[0] for text in texts * 10)
    return row("a kept answer", hit, miss / hit, "s", f"made: {miss:.3f} s")


def cached_phrase(client: httpx.Client) -> Row:
    """A phrase that has been spoken before, at the gateway."""
    short = {"max_new_tokens": PHRASE_FRAMES}
    body = {"input": "Good morning!", "voice": "ann", "response_format": "pcm", "generation_params": short}
    made_s = _timed(lambda: client.post("/v1/audio/speech", json=body).raise_for_status())
    taken = [_timed(lambda: client.post("/v1/audio/speech", json=body).raise_for_status()) for _ in range(WARM_ROUNDS)]
    median = statistics.median(taken)
    worst = sorted(taken)[round(0.99 * len(taken))]
    return row(
        "a kept phrase, median of 200", median, made_s / median, "s", f"p99: {worst:.4f} s; made: {made_s:.3f} s"
    )


def row(what: str, measured: float, ratio: float, unit: str, beside: str) -> Row:
    """Return one line of the table."""
    return {"what": what, "measured": round(measured, 4), "unit": unit, "ratio": round(ratio, 2), "beside": beside}


class _Package:
    """The package itself, in this process, as its own examples use it."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        from services.tts.engines.qwen3.libraries import prepare_imports

        prepare_imports()
        import torch
        from qwen_tts import Qwen3TTSModel

        torch.set_num_threads(1)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self._model = Qwen3TTSModel.from_pretrained(str(checkpoint), device_map=device, dtype=dtype)
        clip = (voice_like(4.0), RATE_HZ)
        self._prompt = self._model.create_voice_clone_prompt(ref_audio=clip, ref_text=TRANSCRIPT)

    def speak(self) -> tuple[float, float]:
        """Return how long a sentence took, and how long it is."""
        began = time.perf_counter()
        [sound], rate_hz = self._model.generate_voice_clone(
            text=SENTENCE, language="English", voice_clone_prompt=self._prompt, max_new_tokens=FRAMES + 1
        )
        return time.perf_counter() - began, len(sound) / rate_hz


def _stream(client: httpx.Client) -> tuple[float, float, float]:
    """Return the time to the first sound, to the end, and how much sound there was."""
    body = _body(use_cache=False) | {"response_format": "pcm"}
    began, first_s, size = time.perf_counter(), 0.0, 0
    with client.stream("POST", "/v1/audio/speech", json=body) as answer:
        for data in answer.iter_raw():
            first_s = first_s or time.perf_counter() - began
            size += len(data)
    return first_s, time.perf_counter() - began, size / SAMPLE_BYTES / RATE_HZ


def _body(**fields: Any) -> dict[str, Any]:
    return {"input": SENTENCE, "voice": "ann", "generation_params": {"max_new_tokens": FRAMES}} | fields


def _clone(client: httpx.Client, text: str = SENTENCE, *, use_cache: bool = False) -> tuple[float, float]:
    """Return how long cloning took over REST, and how long the sound is."""
    body = {
        "text": text,
        "ref_audio": "ann",
        "use_cache": use_cache,
        "generation_params": {"max_new_tokens": FRAMES},
    }
    began = time.perf_counter()
    answer = client.post("/tts/voice_clone", json=body).raise_for_status()
    return time.perf_counter() - began, _wav_s(answer.content)


def _speed(client: httpx.Client, clients: int, requests: int) -> float:
    """Return seconds of sound made in a second by so many clients."""
    with ThreadPoolExecutor(clients) as threads:
        began = time.perf_counter()
        made = list(threads.map(lambda _: _clone(client)[1], range(requests)))
        return sum(made) / (time.perf_counter() - began)


def _wav_s(wav: bytes) -> float:
    return (len(wav) - 44) / SAMPLE_BYTES / RATE_HZ


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
