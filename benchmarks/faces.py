"""How fast MuseTalk's faces come: the networks alone, whole streams, and the same work done the upstream way.

    python -m benchmarks.faces                             full size on this machine's CPU, a few frames of it
    python -m benchmarks.faces --device cuda:0             on a GPU: all batches, compiled too, up to eight streams

Weights are random and of full size: they cost what the released ones cost.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image as Pillow
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import full_networks, tiny_networks
from benchmarks.report import report
from services.avatar.artwork import read_avatar
from services.avatar.engine import FrameSize
from services.avatar.engines.musetalk.blending import patch_of
from services.avatar.engines.musetalk.engine import MuseTalkEngine
from services.avatar.engines.musetalk.faces import FaceOptions
from services.avatar.engines.musetalk.generation import LATENT_SIDE, Generator
from services.avatar.engines.musetalk.hearing import Ears, Hearing, with_places
from services.avatar.engines.musetalk.passes import Mode
from services.avatar.engines.musetalk.track import Track
from services.avatar.engines.musetalk.weights import Networks
from services.avatar.mux import mux_segment
from services.avatar.segment import segment_of
from services.contract.speech import AudioChunk
from services.contract.video import LipSyncParams

Row = dict[str, Any]

ROOT = Path(__file__).parent.parent
FPS = Fraction(25)
FRAME_S = 1 / 25
UPSTREAM_BATCH = 8
SIZES = {"512²": FrameSize(512, 512), "720p": FrameSize(1280, 720), "1080p": FrameSize(1920, 1080)}


@dataclass(frozen=True)
class Plan:
    """What is measured on a kind of device."""

    device: str
    dtype: torch.dtype
    batches: tuple[int, ...]
    modes: tuple[Mode, ...]
    rounds: int
    streams: tuple[int, ...]
    speech_s: float
    stream_batch: int
    stream_mode: Mode

    @classmethod
    def of(cls, device: str) -> Plan:
        """Return the whole plan for a GPU, and for a CPU what can be waited for."""
        if device.startswith("cuda"):
            return cls(
                device,
                torch.bfloat16,
                (1, 2, 4, 8, 16, 32),
                ("eager", "graph", "compile"),
                20,
                (1, 2, 4, 8),
                10.0,
                8,
                "graph",
            )
        return cls(device, torch.float32, (1, 2), ("eager",), 2, (1,), 0.4, 2, "eager")


def main() -> None:
    """Measure, print the tables and keep them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cpu")
    asked = arguments.parse_args()
    plan = Plan.of(asked.device)
    kind = plan.device.split(":")[0]
    networks = full_networks().placed(plan.device, plan.dtype)
    peak = peak_flops(plan)
    report(f"faces_work_{kind}", work(networks, plan))
    report(f"faces_networks_{kind}", list(network_speeds(networks, plan, peak)))
    report(f"faces_streams_{kind}", list(streams(networks, plan)))
    report(f"faces_upstream_{kind}", [against_upstream(networks, plan, "full size"), without_networks(plan)])


def peak_flops(plan: Plan) -> float:
    """Return the most operations a second that a matrix product reaches here."""
    side = 8192 if plan.device.startswith("cuda") else 2048
    one, other = (torch.randn(side, side, device=plan.device, dtype=plan.dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: one @ other, plan, rounds=5)


def work(networks: Networks, plan: Plan) -> list[Row]:
    """Count the operations of each step, for one frame."""
    generator = Generator(networks.unet, networks.vae)
    small = Generator(networks.unet, networks.vae, networks.tiny_decoder)
    latents, said = inputs(plan, 1)
    predicted = generator.predict(latents, said)
    face = np.zeros((256, 256, 3), np.uint8)
    sound = np.zeros(16_000 * 30, np.float32)
    steps: dict[str, Callable[[], object]] = {
        "generator": lambda: generator.predict(latents, said),
        "decoding, SD-VAE": lambda: generator.decode(predicted),
        "decoding, TAESD": lambda: small.decode(predicted),
        "encoding, once for each frame of an avatar": lambda: generator.latents(face[None]),
        "hearing 30 s": lambda: Ears(networks.whisper).tokens(sound),
    }
    return [
        {"step": name, "GFLOP": counted(step) / 1e9, "ms": seconds(step, plan) * 1000} for name, step in steps.items()
    ]


def network_speeds(networks: Networks, plan: Plan, peak: float) -> Iterator[Row]:
    """Measure frames a second of the networks alone, for every batch size."""
    for decoder in ("SD-VAE", "TAESD"):
        tiny = networks.tiny_decoder if decoder == "TAESD" else None
        flops = counted(lambda tiny=tiny: Generator(networks.unet, networks.vae, tiny).faces(*inputs(plan, 1)))
        for mode in plan.modes:
            for batch in plan.batches:
                generator = Generator(networks.unet, networks.vae, tiny, mode=mode)
                given = inputs(plan, batch)
                forget_peak(plan)
                fps = batch / seconds(lambda generator=generator, given=given: generator.faces(*given), plan)
                yield {
                    "decoder": decoder,
                    "mode": mode,
                    "batch": batch,
                    "fps": fps,
                    "of the peak": fps * flops / peak,
                    "GPU memory, GB": peak_memory_gb(plan),
                }


def streams(networks: Networks, plan: Plan) -> Iterator[Row]:
    """Measure whole streams: networks, blending, encoding, read at 25 frames a second."""
    engine = engine_of(networks, plan)
    source = read_avatar(ROOT / "avatars" / "maya").source
    for name, size in SIZES.items():
        track = engine.prepare(source, size)
        for count in plan.streams:
            forget_peak(plan)
            watched = together(count, lambda track=track: watch(engine, track, plan.speech_s))
            yield {
                "frame": name,
                "streams": count,
                "fps": sum(one.frames for one in watched) / max(one.took_s for one in watched),
                "first frame, ms": max(one.first_s for one in watched) * 1000,
                "late frames": sum(one.late for one in watched),
                "GPU memory, GB": peak_memory_gb(plan),
            }
    engine.close()


def engine_of(networks: Networks, plan: Plan) -> MuseTalkEngine:
    """Return an engine that generates every frame, with the image model's own decoder."""
    large = replace(networks, tiny_decoder=None)
    return MuseTalkEngine(large, FaceOptions(), batch=plan.stream_batch, gated=False, mode=plan.stream_mode)


@dataclass(frozen=True)
class Watched:
    """What a viewer saw of a stream."""

    frames: int
    first_s: float
    took_s: float
    late: int


def watch(engine: MuseTalkEngine, track: Track, speech_s: float) -> Watched:
    """Take each frame when it is due, and count those that are not there by then."""
    began = time.perf_counter()
    first_s, late, frames = 0.0, 0, 0
    for number, _ in enumerate(engine.render(track, speech(speech_s), 0, FPS)):
        now = time.perf_counter() - began
        first_s = first_s or now
        due = first_s + number * FRAME_S
        late += now > due + FRAME_S
        frames += 1
        time.sleep(max(0.0, due - now))
    return Watched(frames, first_s, time.perf_counter() - began, late)


def against_upstream(networks: Networks, plan: Plan, what: str) -> Row:
    """Make the same film our way, and the way upstream makes it."""
    engine = engine_of(networks, plan)
    track = engine.prepare(read_avatar(ROOT / "avatars" / "maya").source, SIZES["720p"])
    said = speech(plan.speech_s)
    segment = segment_of(said, LipSyncParams(avatar="-", fps=FPS, width=1280, height=720))

    def ours() -> None:
        for _ in mux_segment(engine.render(track, segment.speech, 0, FPS), segment):
            pass

    rounds = 3 if plan.device.startswith("cuda") else 1
    our_s = statistics.median(timed(ours) for _ in range(rounds))
    their_s = statistics.median(timed(lambda: upstream(networks, plan, track, said)) for _ in range(rounds))
    engine.close()
    return {
        "networks": what,
        "frames": segment.frames,
        "ours, s": our_s,
        "upstream's way, s": their_s,
        "ratio": their_s / our_s,
    }


def without_networks(plan: Plan) -> Row:
    """The same with networks that cost nothing: what blending and encoding alone come to."""
    small = replace(plan, speech_s=4.0, stream_batch=8)
    return against_upstream(tiny_networks().placed(plan.device, plan.dtype), small, "tiny")


def upstream(networks: Networks, plan: Plan, track: Track, said: AudioChunk) -> None:
    """Batches of eight one after the other, the whole frame blended by Pillow, PNG files, then ffmpeg."""
    generator, latents, picture = Generator(networks.unet, networks.vae), track.latents(0)[None], track.picture(0)
    sound = np.frombuffer(said.pcm, "<i2")[::3].astype(np.float32) / 32768
    frames = round(said.duration_s * FPS)
    heard = Hearing(Ears(networks.whisper), sound, FPS).windows(range(frames))
    left, top, right, bottom = box = track.patch(0).face_box
    patch = patch_of(box, np.full((512, 512), 255, np.uint8))
    mask = Pillow.fromarray(patch.mask)
    faces: list[np.ndarray[Any, Any]] = []
    for at in range(0, frames, UPSTREAM_BATCH):
        batch = with_places(heard[at : at + UPSTREAM_BATCH]).to(generator.device, generator.dtype)
        seen = latents.to(generator.device).expand(len(batch), -1, -1, -1)
        faces += list(generator.faces(seen, batch).cpu().numpy())
    with tempfile.TemporaryDirectory() as folder:
        for number, face in enumerate(faces):
            body = Pillow.fromarray(picture[:, :, ::-1])
            square = body.crop(patch.mask_box)
            resized = Pillow.fromarray(cv2.resize(face, (right - left, bottom - top))[:, :, ::-1])
            square.paste(resized, (left - patch.mask_box[0], top - patch.mask_box[1]))
            body.paste(square, patch.mask_box[:2], mask)
            cv2.imwrite(f"{folder}/{number:08d}.png", np.asarray(body)[:, :, ::-1])
        command = [get_ffmpeg_exe(), "-y", "-v", "error", "-r", "25", "-i", f"{folder}/%08d.png"]
        subprocess.run(
            [*command, "-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", f"{folder}/o.mp4"], check=True
        )


def inputs(plan: Plan, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents and windows for a batch."""
    latents = torch.randn(batch, 8, LATENT_SIDE, LATENT_SIDE, device=plan.device, dtype=plan.dtype)
    return latents, torch.randn(batch, 50, 384, device=plan.device, dtype=plan.dtype)


def speech(duration_s: float) -> AudioChunk:
    """Return something like a voice."""
    at = np.arange(round(48_000 * duration_s)) / 48_000
    sound = 8000 * np.sin(2 * np.pi * 150 * at) * (1 + np.sin(2 * np.pi * 4 * at))
    return AudioChunk(sound.astype("<i2").tobytes(), 48_000)


def together(count: int, watcher: Callable[[], Watched]) -> list[Watched]:
    """Run so many viewers at once."""
    seen: list[Watched] = []
    threads = [threading.Thread(target=lambda: seen.append(watcher())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def seconds(call: Callable[[], object], plan: Plan, rounds: int = 0) -> float:
    """Return how long a call takes, the median of some after two that do not count."""
    for _ in range(2 if plan.device.startswith("cuda") else 1):
        call()
    return statistics.median(timed(call) for _ in range(rounds or plan.rounds))


def timed(call: Callable[[], object]) -> float:
    """Return how long one call takes, until the device has done it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def counted(call: Callable[[], object]) -> int:
    """Return the floating-point operations of a call."""
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return int(counter.get_total_flops())


def forget_peak(plan: Plan) -> None:
    """Begin to watch the GPU's memory anew."""
    if plan.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def peak_memory_gb(plan: Plan) -> float:
    """Return the most GPU memory there was in use since; 0 on a CPU."""
    return torch.cuda.max_memory_allocated() / 1e9 if plan.device.startswith("cuda") else 0.0


if __name__ == "__main__":
    main()
