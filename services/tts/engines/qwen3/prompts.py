"""Clone prompts: what a model needs to know of a reference, computed once and kept."""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Protocol

import numpy as np
import redis
from cachetools import LRUCache
from safetensors.torch import load, save

from services.tts.engine import Reference
from services.tts.sound import sound_of

_log = logging.getLogger(__name__)

_TAIL_S = 0.5
"""Silence after the reference: without it, its last sound leaks into the first of the copy."""

_RATE_HZ = 24_000
_PREFIX = "tts:prompt:"


class PromptShelf(Protocol):
    """Where several processes share prompts."""

    def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`."""


class RedisPrompts:
    """Prompts in Redis. Redis missing or failing costs time, never a request."""

    def __init__(self, url: str, ttl_s: int) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
        self._ttl_s = ttl_s

    def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""
        try:
            kept = self._redis.get(_PREFIX + key)
        except redis.RedisError as error:
            _log.warning("no shared prompts: %s", error)
            return None
        return kept if isinstance(kept, bytes) else None

    def put(self, key: str, value: bytes) -> None:
        """Keep `value` for a while."""
        try:
            self._redis.set(_PREFIX + key, value, ex=self._ttl_s)
        except redis.RedisError as error:
            _log.warning("prompt not shared: %s", error)


class PromptBook:
    """The prompts of one engine, most recently used first."""

    def __init__(self, most: int, shelf: PromptShelf | None = None) -> None:
        self._recent: LRUCache[str, Any] = LRUCache(most)
        self._shelf = shelf

    def prompt(self, model: Any, checkpoint: str, reference: Reference) -> Any:
        """Return the package's prompt item of `reference` for a `Qwen3TTSModel`; computes it at most once."""
        key = f"{reference.digest}:{hashlib.sha256(f'{checkpoint} {reference.transcript}'.encode()).hexdigest()}"
        if key not in self._recent:
            kept = self._shelf.get(key) if self._shelf else None
            self._recent[key] = _unpack(kept, reference) if kept else self._compute(model, key, reference)
        return self._recent[key]

    def forget(self, digest: str) -> None:
        """Drop what was computed from a reference; the shared shelf is its owner's to clear."""
        for key in [key for key in self._recent if key.startswith(digest)]:
            del self._recent[key]

    def _compute(self, model: Any, key: str, reference: Reference) -> Any:
        sound = np.concatenate([sound_of(reference.pcm), np.zeros(round(_TAIL_S * _RATE_HZ), np.float32)])
        [item] = model.create_voice_clone_prompt(
            ref_audio=(sound, _RATE_HZ),
            ref_text=reference.transcript or None,
            x_vector_only_mode=not reference.transcript,
        )
        if self._shelf:
            self._shelf.put(key, _pack(item))
        return item


def _pack(item: Any) -> bytes:
    tensors = {"speaker": item.ref_spk_embedding} | ({} if item.ref_code is None else {"codes": item.ref_code})
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def _unpack(kept: bytes, reference: Reference) -> Any:
    from qwen_tts import VoiceClonePromptItem

    tensors = load(kept)
    codes = tensors.get("codes")
    return VoiceClonePromptItem(
        ref_code=codes,
        ref_spk_embedding=tensors["speaker"],
        x_vector_only_mode=codes is None,
        icl_mode=codes is not None,
        ref_text=reference.transcript or None,
    )
