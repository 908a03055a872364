"""MuseTalk as a lip-sync engine."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from torch import Tensor

from services.avatar.ahead import run_ahead
from services.avatar.engine import AvatarSource, FrameSize, Tell, VideoFrame, tell_nobody
from services.avatar.engines.musetalk.batcher import Batcher, face_of, told
from services.avatar.engines.musetalk.blending import blend
from services.avatar.engines.musetalk.faces import FaceOptions
from services.avatar.engines.musetalk.gate import Gate
from services.avatar.engines.musetalk.generation import LATENT_SIDE
from services.avatar.engines.musetalk.generation import Generator as FaceGenerator
from services.avatar.engines.musetalk.hearing import SAMPLE_RATE_HZ, Ears, Hearing
from services.avatar.engines.musetalk.interpolation import Interpolation, MixedFace
from services.avatar.engines.musetalk.live import LiveHearing, LiveSpeech
from services.avatar.engines.musetalk.pack import Ingredients, Packs, ingredients
from services.avatar.engines.musetalk.passes import Mode
from services.avatar.engines.musetalk.resampling import at_16_khz
from services.avatar.engines.musetalk.track import StillTrack, Track, place_at, stills_of
from services.avatar.engines.musetalk.weights import Networks, Version, fingerprint_of, sketch_of
from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk
from services.contract.video import GpuState, Timeline

_REVISION = "1"
"""Goes up whenever the same ingredients make other pictures."""


class MuseTalkEngine:
    """Generates the lower half of every frame's face with MuseTalk."""

    name = "musetalk"
    uses_phoneme_marks = False

    def __init__(
        self,
        networks: Networks,
        options: FaceOptions,
        *,
        batch: int = 8,
        version: Version = "v15",
        gated: bool = True,
        mode: Mode = "eager",
        packs: Packs | None = None,
    ) -> None:
        """`gated`: the networks rest where nothing is said. `mode`: how they are run.

        `packs`: where prepared avatars are kept; by default they are held in memory.
        """
        ingredients_of_pictures = f"{sketch_of(networks)} {options} {version} {gated}"
        self.revision = f"{_REVISION}-{hashlib.sha256(ingredients_of_pictures.encode()).hexdigest()[:12]}"
        self._generator = FaceGenerator(networks.unet, networks.vae, networks.tiny_decoder, mode=mode)
        self._ears = Ears(networks.whisper)
        self._options = options
        self._version = version
        self._packs = packs
        self._eyes = fingerprint_of(networks.vae)
        self._gated = gated
        self._ahead = 2 * batch
        self._batcher = Batcher(self._generator, batch)
        self._warm_up()

    def prepare(self, source: AvatarSource, size: FrameSize, tell: Tell = tell_nobody) -> Track:
        """Return the track of `source`, from its pack where there is one.

        Raises `UnsuitableFace` when its face is too small in such a frame, `Unavailable` when the
        GPU has no room for the work or the pack cannot be kept.
        """
        stills = partial(stills_of, source, size, self._generator, self._options, tell, v1=self._version == "v1")
        try:
            if self._packs is None or not source.lasting:
                return StillTrack(list(stills()))
            return self._packs.get_or_make(self._ingredients(source, size), stills, tell)
        except torch.OutOfMemoryError as error:
            raise told(error) from error

    def render(
        self,
        track: Track,
        speech: AudioChunk,
        first_frame: int,
        fps: Fraction,
        frame_skip: int = 1,
        motion: MotionPath | None = None,
    ) -> Generator[VideoFrame, None, None]:
        """Yield the frames that hold `speech`; as many as two batches are made ahead of the reader."""
        frames = Timeline(fps, speech.sample_rate_hz).frames_to_hold(first_frame, speech.samples)
        sound = at_16_khz(speech)
        gate = Gate(fps)
        gate.hear(sound)
        gate.end()
        moment = (motion or MotionPath(first_frame, first_frame + frames, frames)).at
        shots = _Shots(track, moment, fps, gate if self._gated else None, Hearing(self._ears, sound, fps).window)
        return self._shown(self._asked(shots, range(frames), frame_skip, frames - 1))

    def render_live(
        self, track: Track, pieces: Iterable[AudioChunk], first_frame: int, fps: Fraction
    ) -> Generator[VideoFrame, None, None]:
        """Yield the frames that hold `pieces`, which come while they are spoken, each as soon as it can be made.

        It is what `render` yields but for what had not been said yet: see `live`. The gate opens later
        for the same reason. Closing this waits for the piece that is being waited for.
        """
        hearing, gate = LiveHearing(self._ears, fps), Gate(fps)
        gated = gate if self._gated else None
        shots = _Shots(track, lambda frame: first_frame + frame, fps, gated, hearing.window)
        return self._shown(self._asked(shots, LiveSpeech(hearing, gate, fps, first_frame).frames(pieces)))

    def _asked(
        self, shots: _Shots, frames: Iterable[int], frame_skip: int = 1, last: int | None = None
    ) -> Generator[_Asked, None, None]:
        """Ask for the frames' faces, one after the other; take back those that nobody waits for any more."""
        faces = Interpolation(lambda frame: self._batcher.submit(*shots.seen_and_heard(frame)), frame_skip, last)
        recent: deque[_Asked] = deque(maxlen=2 * self._ahead)
        try:
            for frame in frames:
                weight = shots.weight(frame)
                asked = _Asked(shots.track, shots.place(frame), weight, faces(frame) if weight > 0 else None)
                recent.append(asked)
                yield asked
        except BaseException as error:
            for asked in recent:
                asked.cancel()
            if isinstance(error, torch.OutOfMemoryError):  # of the ears
                raise told(error) from error
            raise

    def _shown(self, asked: Generator[_Asked, None, None]) -> Generator[VideoFrame, None, None]:
        """Yield the frames once their faces are there; up to two batches are asked for early."""
        with closing(run_ahead(asked, self._ahead)) as ahead:
            for frame in ahead:
                yield frame.shown()

    def _ingredients(self, source: AvatarSource, size: FrameSize) -> Ingredients:
        return ingredients(
            source.digest,
            size,
            self._options,
            engine=f"{self.name} {_REVISION}",
            version=self._version,
            weights=self._eyes,
            dtype=self._generator.dtype,
        )

    def _warm_up(self) -> None:
        """Do what would make the first request slow."""
        latents = torch.zeros(8, LATENT_SIDE, LATENT_SIDE, dtype=self._generator.dtype)
        hearing = Hearing(self._ears, np.zeros(SAMPLE_RATE_HZ, np.float32), Fraction(25))
        face_of(self._batcher.submit(latents, hearing.window(0)))

    def gpu(self) -> GpuState | None:
        """Return how full the GPU is, with all that others hold on it."""
        if self._generator.device.type != "cuda":
            return None
        device = self._generator.device
        free_mb, total_mb = (size // 1024**2 for size in torch.cuda.mem_get_info(device))
        known = importlib.util.find_spec("pynvml") is not None
        return GpuState(
            memory_total_mb=total_mb,
            memory_used_mb=total_mb - free_mb,
            memory_free_mb=free_mb,
            utilization_percent=torch.cuda.utilization(device) if known else None,
        )

    def forget(self, digest: str) -> None:
        """Remove the packs of the avatar with this digest."""
        if self._packs is not None:
            self._packs.forget(digest)

    def close(self) -> None:
        """End the thread that owns the device."""
        self._batcher.close()


@dataclass(frozen=True)
class _Shots:
    """What the faces of one segment are made of."""

    track: Track
    moment: Callable[[int], int | Fraction]
    fps: Fraction
    gate: Gate | None
    window: Callable[[int], Tensor]

    def place(self, frame: int) -> int:
        """Return which frame of the avatar's motion is seen."""
        return place_at(self.moment(frame), self.fps, len(self.track))

    def weight(self, frame: int) -> float:
        """Return how much of the generated face is shown."""
        return 1.0 if self.gate is None else self.gate.weight(frame)

    def seen_and_heard(self, frame: int) -> tuple[Tensor, Tensor]:
        """Return latents and window."""
        return self.track.latents(self.place(frame)), self.window(frame)


@dataclass(frozen=True)
class _Asked:
    """A frame whose face is being made; `face` is None where the avatar's own is shown."""

    track: Track
    place: int
    weight: float
    face: MixedFace | None

    def shown(self) -> VideoFrame:
        """Return the frame, once its face is there."""
        frame = self.track.picture(self.place)
        if self.face is not None:
            blend(frame, self.face.result(), self.track.patch(self.place), self.weight)
        return frame

    def cancel(self) -> None:
        """Say that nobody wants it any more."""
        if self.face is not None:
            self.face.cancel()
