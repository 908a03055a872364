"""What the tts service keeps: spoken utterances, and reference audio that was uploaded without a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from functools import partial

from anyio import to_thread
from cachetools import LRUCache
from prometheus_client import CollectorRegistry

from services.chassis.cache.failures import CacheFailures
from services.chassis.cache.levels import MemoryCache
from services.chassis.cache.making import make_levels
from services.chassis.cache.once import Once
from services.chassis.cache.shared import RedisCache
from services.contract.errors import InvalidRequest
from services.contract.events import decode_speech, encode_speech
from services.contract.speech import AudioChunk, CacheStats, join_chunks
from services.tts.engine import SpeechEngine, Utterance
from services.tts.references import ReferenceSound, read_reference
from services.tts.settings import TtsSettings

_SPEECH, _CLAIM, _PROMPT, _REFERENCE = "tts:speech:", "tts:claim:", "tts:prompt:", "tts:reference:"
_NO_REFERENCE = "-"
_FORMAT = 1
"""Goes up whenever speech is kept in another form."""

_KEPT_REFERENCES = 64
_REFERENCE_TTL_S = 24 * 3600


class Keeping:
    """The caches of one service."""

    def __init__(self, settings: TtsSettings, registry: CollectorRegistry) -> None:
        failures = CacheFailures(registry)
        self._near = MemoryCache(settings.cache_max_size, settings.cache_ttl_s)
        self._levels = make_levels(settings, "tts", self._near, failures)
        self._references: LRUCache[str, bytes] = LRUCache(_KEPT_REFERENCES)
        self._read: LRUCache[str, ReferenceSound] = LRUCache(_KEPT_REFERENCES)
        self._once: Once[AudioChunk] = Once(self._levels.shared, _CLAIM)
        self.enabled = settings.cache_enable
        self._speech = self._levels.all
        self._shared_references: RedisCache | None = None
        if settings.redis_url:
            self._shared_references = RedisCache(settings.redis_url, _REFERENCE_TTL_S, failures)
        self._hits = self._misses = 0

    def key(self, engine: SpeechEngine, utterance: Utterance) -> str:
        """Return the key of an utterance: everything that changes its sound goes into it."""
        parts = asdict(utterance)
        for silent in ("live", "notices", "reference", "generation"):
            del parts[silent]
        reference = utterance.reference
        parts |= {
            "engine": engine.name,
            "revision": engine.revision,
            "format": _FORMAT,
            "transcript": reference.transcript if reference else None,
            "generation": utterance.generation.model_dump(),
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return f"{_SPEECH}{reference.digest if reference else _NO_REFERENCE}:{digest}"

    async def speech(self, key: str) -> AudioChunk | None:
        """Return a kept utterance, or None; counts."""
        speech = await self._found(key)
        if speech is None:
            self._misses += 1
        else:
            self._hits += 1
        return speech

    async def _found(self, key: str) -> AudioChunk | None:
        kept = await self._speech.get(key)
        return None if kept is None else _decoded(kept)

    def join(self, key: str) -> AsyncGenerator[AudioChunk, None] | None:
        """Return the utterance if it is being spoken right now, from its first chunk on."""
        return self._once.join(key)

    def speak_once(
        self, key: str, made: AsyncGenerator[AudioChunk, None], *, lasting: bool
    ) -> AsyncGenerator[AudioChunk, None]:
        """Yield `made` and keep it once it is whole, on disk only where it is `lasting`.

        Others may join, and other replicas wait for it.
        """
        return self._once.make(key, made, partial(self._found, key), partial(self._keep_speech, key, lasting))

    async def _keep_speech(self, key: str, lasting: bool, chunks: Sequence[AudioChunk]) -> None:
        """Keep a whole utterance, if it is one that should be heard again."""
        speech = join_chunks(chunks)
        if not speech.cut:
            await (self._speech if lasting else self._levels.fleeting).put(key, encode_speech(speech))

    async def reference(self, digest: str) -> bytes | None:
        """Return the sound of an uploaded reference, or None."""
        if (pcm := self._references.get(digest)) is None and self._shared_references is not None:
            pcm = await self._shared_references.get(_REFERENCE + digest)
        return pcm

    async def read_once(self, data: bytes, longest_s: float) -> ReferenceSound:
        """Return the reference in an audio file, which is read only the first time; raises what reading raises."""
        digest = hashlib.sha256(data).hexdigest()
        if (sound := self._read.get(digest)) is None:
            sound = self._read[digest] = await to_thread.run_sync(read_reference, data, longest_s)
        return sound

    async def keep_reference(self, sound: ReferenceSound) -> None:
        """Keep uploaded reference audio for a while."""
        self._references[sound.info.reference] = sound.pcm
        if self._shared_references is not None:
            await self._shared_references.put(_REFERENCE + sound.info.reference, sound.pcm)

    async def forget_reference(self, digest: str) -> None:
        """Drop a reference and all that was made with it."""
        self._references.pop(digest, None)
        for key in [key for key, sound in self._read.items() if sound.info.reference == digest]:
            self._read.pop(key, None)
        await self._speech.remove(f"{_SPEECH}{digest}:")
        if self._shared_references is not None:
            await self._shared_references.remove(f"{_PROMPT}{digest}:")
            await self._shared_references.remove(_REFERENCE + digest)

    async def expire(self) -> int:
        """Drop utterances that are out of date, and return how many."""
        return await self._speech.expire()

    async def clear(self) -> int:
        """Drop all utterances, and return how many there were."""
        return await self._speech.remove(_SPEECH)

    def stats(self) -> CacheStats:
        """Return how the cache does since the start."""
        return CacheStats.counted(self._near.size, self._near.max_size, self._hits, self._misses)

    async def close(self) -> None:
        """Let go of connections."""
        await self._speech.close()
        if self._shared_references is not None:
            await self._shared_references.close()


def _decoded(stream: bytes) -> AudioChunk | None:
    """Return the utterance; None where another version of the service wrote it, in a form of its own."""
    try:
        return join_chunks(decode_speech(stream))
    except InvalidRequest:
        return None
