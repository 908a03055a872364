"""Settings of the avatar service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import CachingSettings, folder_of_checkout, log_level_named

EngineName = Literal["portrait", "musetalk"]


class AvatarSettings(CachingSettings):
    """Read from `AVATAR_*` in the environment or `.env`."""

    model_config = SettingsConfigDict(env_prefix="AVATAR_")

    port: int = Field(8001, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    log_level: str = log_level_named("AVATAR_LOG_LEVEL", "LOG_LEVEL")
    max_body_bytes: int = Field(
        72 * 1024 * 1024, gt=0, description="Larger request bodies are answered with 413; ten minutes of PCM fit."
    )
    engine: EngineName = Field("portrait", description="Lip-sync engine.")
    avatar_dir: Path = Field(
        folder_of_checkout("avatars"),
        validation_alias=AliasChoices("AVATAR_DIR", "AVATAR_AVATAR_DIR", "VIDEO_AVATAR_DIR"),
        description="Folder of avatars: one folder or one picture each.",
    )
    models_dir: Path = Field(
        folder_of_checkout("models"),
        validation_alias=AliasChoices("AVATAR_MODELS_DIR", "MODELS_DIR"),
        description="Folder of model files; the face module keeps its three small ones in `face/`.",
    )
    lanes: int = Field(
        2,
        ge=1,
        le=64,
        description="Segments rendered side by side; each keeps two cores busy. The idle pieces of live sessions have "
        "as many lanes of their own.",
    )
    max_waiting: int = Field(16, ge=0, description="Requests that may wait for a lane; more are answered with 503.")
    longest_segment_s: float = Field(600.0, gt=0, description="Longer segments are refused.")
    max_frame_pixels: int = Field(3840 * 2160, gt=0, description="Larger frames are refused.")
    max_picture_bytes: int = Field(20 * 1024 * 1024, gt=0, description="Larger pictures are answered with 413.")
    max_picture_pixels: int = Field(50_000_000, gt=0, description="Pictures of more pixels are refused unread.")
    max_clip_bytes: int = Field(64 * 1024 * 1024, gt=0, description="Larger clips are answered with 413.")
    longest_clip_s: float = Field(
        600.0, gt=0, description="Longer clips of an avatar are refused; a short one is played forward and back."
    )
    pack_dir: Path = Field(
        Path("packs"), description="Where engines keep what they prepared; replicas may share it, it can be deleted."
    )
    packs_max_gb: float = Field(20.0, gt=0, description="Where there is more, what was used least recently goes.")
    uploads_kept: int = Field(16, ge=1, description="Avatars made from uploads that are remembered, in memory only.")
    sources_kept: int = Field(6, ge=1, description="Avatars of the folder kept decoded in memory.")
    device: str = Field("cpu", description="Where the musetalk engine runs: cpu, cuda:0, cuda:1 ...")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Precision of its weights; auto is bfloat16 on a GPU and float32 elsewhere."
    )
    musetalk_dir: Path | None = Field(None, description="Folder of MuseTalk's weights; by default below models_dir.")
    musetalk_version: Literal["v15", "v1"] = Field(
        "v15", description="Which weights, and which rule for the face's box."
    )
    musetalk_batch: int = Field(8, ge=1, le=64, description="Frames generated together, of all requests.")
    musetalk_decoder: Literal["sd-vae", "taesd"] = Field("sd-vae", description="taesd: far less work, a bit less fine.")
    musetalk_mode: Literal["auto", "eager", "graph", "compile", "tensorrt"] = Field(
        "auto",
        description="How the networks run: recorded as a CUDA graph, compiled at start (a minute), by TensorRT where "
        "torch-tensorrt is installed, or none of it. auto is graph on a GPU and eager elsewhere.",
    )
    silence_gate: bool = Field(True, description="Show the avatar's own mouth where nothing is said.")
    bbox_shift: int = Field(0, ge=-100, le=100, description="Pixels by which v1 moves the middle of the face down.")
    extra_margin: int = Field(10, ge=0, le=100, description="Pixels below the chin that v1.5 generates too.")
    parsing_mode: Literal["jaw", "raw"] = Field(
        "jaw", description="jaw: with room below the chin; raw: the face as it is."
    )
    left_cheek_width: int = Field(
        90, ge=0, le=256, description="From the middle to the cheek, where the face is 512 wide."
    )
    right_cheek_width: int = Field(90, ge=0, le=256, description="The same on the right.")

    cache_memory_mb: int = Field(128, ge=1, description="Room for rendered segments in memory.")
    warm_avatar: str = Field("", description="Avatar to prepare at start; empty for none, 'auto' for the first.")
    warm_width: int = Field(512, ge=128, description="Width of the frames it is prepared for.")
    warm_height: int = Field(512, ge=128, description="Height of the frames it is prepared for.")
    tracks_kept: int = Field(8, ge=1, description="Avatars kept prepared for rendering, one per avatar and frame size.")
