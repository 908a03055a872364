"""MuseTalk as a lip-sync engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice

import numpy as np
import soxr
import torch

from services.avatar.engine import AvatarSource, FrameSize, Tell, VideoFrame, tell_nobody
from services.avatar.engines.musetalk.batcher import Batcher, Face, face_of, told
from services.avatar.engines.musetalk.blending import blend
from services.avatar.engines.musetalk.faces import FaceOptions
from services.avatar.engines.musetalk.gate import speech_weights
from services.avatar.engines.musetalk.generation import LATENT_SIDE
from services.avatar.engines.musetalk.generation import Generator as FaceGenerator
from services.avatar.engines.musetalk.hearing import SAMPLE_RATE_HZ, Ears, Hearing, Sound
from services.avatar.engines.musetalk.interpolation import Interpolation, MixedFace
from services.avatar.engines.musetalk.pack import Ingredients, Packs, ingredients
from services.avatar.engines.musetalk.track import StillTrack, Track, place_at, stills_of
from services.avatar.engines.musetalk.weights import Networks, Version, fingerprint_of
from services.contract.speech import AudioChunk
from services.contract.video import GpuState, Timeline


class MuseTalkEngine:
    """Generates the lower half of every frame's face with MuseTalk."""

    name = "musetalk"
    revision = "1"
    uses_phoneme_marks = False

    def __init__(
        self,
        networks: Networks,
        options: FaceOptions,
        *,
        batch: int = 8,
        version: Version = "v15",
        gated: bool = True,
        compiled: bool = False,
        packs: Packs | None = None,
    ) -> None:
        """`gated`: the networks rest where nothing is said. `compiled`: they are compiled, which takes a minute.

        `packs`: where prepared avatars are kept; by default they are held in memory.
        """
        self._generator = FaceGenerator(networks.unet, networks.vae, networks.tiny_decoder, compiled=compiled)
        self._ears = Ears(networks.whisper)
        self._options = options
        self._version = version
        self._packs = packs
        self._eyes = fingerprint_of(networks.vae.encoder)
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
            return self._packs.get_or_make(self._ingredients(source, size), stills)
        except torch.OutOfMemoryError as error:
            raise told(error) from error

    def render(
        self, track: Track, speech: AudioChunk, first_frame: int, fps: Fraction, frame_skip: int = 1
    ) -> Generator[VideoFrame, None, None]:
        """Yield the frames that hold `speech`; as many as two batches are made ahead of the reader."""
        frames = Timeline(fps).frames_to_hold(first_frame, speech.samples)
        sound = _at_16_khz(speech)
        hearing = Hearing(self._ears, sound, fps)
        weights = speech_weights(sound, frames, fps) if self._gated else np.ones(frames, np.float32)

        def generate(frame: int) -> Future[Face]:
            place = place_at(first_frame + frame, fps, len(track))
            return self._batcher.submit(track.latents(place), hearing.window(frame))

        def ask(frame: int, weight: float) -> _Asked:
            face = between(frame) if weight > 0 else None
            return _Asked(track, place_at(first_frame + frame, fps, len(track)), weight, face)

        between = Interpolation(generate, frames, frame_skip)
        to_ask = (ask(frame, weight) for frame, weight in enumerate(weights.tolist()))
        asked = deque(islice(to_ask, self._ahead))
        try:
            while asked:
                yield asked.popleft().shown()
                asked.extend(islice(to_ask, 1))
        finally:
            for one in asked:
                one.cancel()

    def _ingredients(self, source: AvatarSource, size: FrameSize) -> Ingredients:
        return ingredients(
            source.digest,
            size,
            self._options,
            engine=f"{self.name} {self.revision}",
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
        free_mb, total_mb = (size // 1024**2 for size in torch.cuda.mem_get_info(self._generator.device))
        return GpuState(memory_total_mb=total_mb, memory_used_mb=total_mb - free_mb, memory_free_mb=free_mb)

    def close(self) -> None:
        """End the thread that owns the device."""
        self._batcher.close()


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


def _at_16_khz(speech: AudioChunk) -> Sound:
    samples = np.frombuffer(speech.pcm, "<i2").astype(np.float32) / np.float32(32768)
    resampled: Sound = soxr.resample(samples, speech.sample_rate_hz, SAMPLE_RATE_HZ)
    return resampled
