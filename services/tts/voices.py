"""Stored voices and consents: a sample, its transcript and who agreed, under a name."""

from __future__ import annotations

import io
import re
import secrets
import shutil
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import redis.asyncio as redis
from anyio import to_thread

from services.chassis.wav import wav_file
from services.contract.errors import InvalidRequest, NameTaken, NotFound, Unavailable
from services.contract.speech import StoredVoice, VoiceConsent
from services.tts.references import RATE_HZ, ReferenceSound

_NAME = re.compile(r"[\w][\w .-]{0,63}")
_LONGEST_NAME_BYTES = 200
"""What file systems take as the name of a folder, and some more characters."""

_ID_PREFIX = "voice_"

Kind = Literal["voices", "consents"]


class Shelf(Protocol):
    """Keeps documents, each with a recording, by key. Raises `Unavailable` when it cannot be reached."""

    async def documents(self, kind: Kind) -> list[bytes]:
        """Return all documents of a kind."""

    async def read(self, kind: Kind, key: str) -> tuple[bytes, bytes] | None:
        """Return document and recording, or None."""

    async def write(self, kind: Kind, key: str, document: bytes, recording: bytes) -> bool:
        """Keep both; return False, and keep what there was, when the key is taken."""

    async def remove(self, kind: Kind, key: str) -> bool:
        """Drop both; return whether there was something."""

    async def close(self) -> None:
        """Let go of connections."""


class Voices:
    """The voices that were stored, and the consents they were stored with."""

    def __init__(self, shelf: Shelf, *, require_consent: bool) -> None:
        self._shelf = shelf
        self._require_consent = require_consent

    async def listed(self) -> list[StoredVoice]:
        """Return all stored voices, oldest first."""
        found = [StoredVoice.model_validate_json(document) for document in await self._shelf.documents("voices")]
        return sorted(found, key=lambda voice: voice.created_at)

    async def find(self, name: str) -> tuple[StoredVoice, bytes] | None:
        """Return the voice of this name or id and its sample, 16-bit mono at 24 kHz; None when there is none.

        Raises `InvalidRequest` for a voice without the consent that is required here.
        """
        key = voice_key(name.removeprefix(_ID_PREFIX))
        if not _is_name(key) or (entry := await self._shelf.read("voices", key)) is None:
            return None
        voice = StoredVoice.model_validate_json(entry[0])
        if self._require_consent and not voice.consent:
            raise InvalidRequest(
                f"voice: {voice.name} was stored without a consent, and one is required here; "
                "delete it and store it with its owner's.",
                param="voice",
            )
        with wave.open(io.BytesIO(entry[1])) as file:
            return voice, file.readframes(file.getnframes())

    async def add(
        self, name: str, sample: ReferenceSound, transcript: str, consent: str, notices: Sequence[str] = ()
    ) -> StoredVoice:
        """Store a voice; raises `NameTaken`, or `InvalidRequest` for a bad name or a missing consent."""
        _check_name(name)
        await self._check_consent(consent)
        voice = StoredVoice(
            id=_ID_PREFIX + voice_key(name),
            name=name,
            transcript=transcript,
            duration_s=round(sample.info.duration_s, 3),
            consent=consent,
            created_at=int(time.time()),
            reference=sample.info.reference,
            notices=list(notices),
        )
        recording = wav_file(sample.pcm, RATE_HZ)
        if not await self._shelf.write("voices", voice_key(name), voice.model_dump_json().encode(), recording):
            raise NameTaken(f"There is a voice {name!r} already; delete it first or choose another name.", param="name")
        return voice

    async def remove(self, name: str) -> StoredVoice:
        """Drop the voice of this name or id; raises `NotFound`."""
        key = voice_key(name.removeprefix(_ID_PREFIX))
        entry = await self._shelf.read("voices", key) if _is_name(key) else None
        if entry is None:
            raise NotFound(f"There is no stored voice {name!r}; GET /v1/audio/voices lists them.", param="name")
        await self._shelf.remove("voices", key)
        return StoredVoice.model_validate_json(entry[0])

    async def consent(self, name: str, language: str, recording: ReferenceSound) -> VoiceConsent:
        """Keep a recorded consent."""
        _check_name(name)
        key = secrets.token_hex(8)
        consent = VoiceConsent(id=f"cons_{key}", name=name, language=language, created_at=int(time.time()))
        await self._shelf.write("consents", key, consent.model_dump_json().encode(), wav_file(recording.pcm, RATE_HZ))
        return consent

    async def close(self) -> None:
        """Let go of connections."""
        await self._shelf.close()

    def check_unnamed_copy(self) -> None:
        """Raise `InvalidRequest` where only voices stored with a consent may be copied."""
        if self._require_consent:
            raise InvalidRequest(
                "ref_audio: here only voices stored with a consent are copied; POST /v1/audio/voice_consents, "
                "then /v1/audio/voices, and name the voice.",
                param="ref_audio",
            )

    async def _check_consent(self, consent: str) -> None:
        if consent:
            key = consent.removeprefix("cons_")
            if not re.fullmatch(r"[0-9a-f]{16}", key) or await self._shelf.read("consents", key) is None:
                raise InvalidRequest(f"consent: there is no consent {consent!r}.", param="consent")
        elif self._require_consent:
            raise InvalidRequest(
                "consent: a recorded consent is required here; POST /v1/audio/voice_consents first.", param="consent"
            )


class DiskShelf:
    """Keeps each document in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def documents(self, kind: Kind) -> list[bytes]:
        """Return all documents of a kind."""
        return await to_thread.run_sync(self._documents, self._folder / kind)

    async def read(self, kind: Kind, key: str) -> tuple[bytes, bytes] | None:
        """Return document and recording, or None."""
        return await to_thread.run_sync(self._read, self._folder / kind / key)

    async def write(self, kind: Kind, key: str, document: bytes, recording: bytes) -> bool:
        """Keep both; return False when the key is taken."""
        return await to_thread.run_sync(self._write, self._folder / kind / key, document, recording)

    async def remove(self, kind: Kind, key: str) -> bool:
        """Drop both; return whether there was something."""
        return await to_thread.run_sync(self._remove, self._folder / kind / key)

    async def close(self) -> None:
        """Nothing is held open."""

    @staticmethod
    def _documents(folder: Path) -> list[bytes]:
        return [path.read_bytes() for path in folder.glob("[!.]*/about.json")]

    @staticmethod
    def _read(folder: Path) -> tuple[bytes, bytes] | None:
        try:
            return (folder / "about.json").read_bytes(), (folder / "sample.wav").read_bytes()
        except FileNotFoundError:
            return None

    @staticmethod
    def _write(folder: Path, document: bytes, recording: bytes) -> bool:
        # Written under another name first: a folder that can be seen is whole.
        draft = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
        try:
            draft.mkdir(parents=True)
            (draft / "sample.wav").write_bytes(recording)
            (draft / "about.json").write_bytes(document)
            if folder.exists():
                return False
            draft.rename(folder)
        except OSError as error:
            if folder.exists():
                return False
            raise Unavailable(f"Voices cannot be stored in {folder.parent}: {error.strerror}.") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return True

    @staticmethod
    def _remove(folder: Path) -> bool:
        there = folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        return there


class RedisShelf:
    """Keeps documents in Redis, for several replicas."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=5.0, socket_connect_timeout=5.0)

    async def documents(self, kind: Kind) -> list[bytes]:
        """Return all documents of a kind."""
        try:
            keys = [key async for key in self._redis.scan_iter(match=f"talkie:{kind}:*", count=1000)]
            found = [await self._redis.hget(key, "about") for key in keys]
        except redis.RedisError as error:
            raise _unreachable(error) from error
        return [document for document in found if isinstance(document, bytes)]

    async def read(self, kind: Kind, key: str) -> tuple[bytes, bytes] | None:
        """Return document and recording, or None."""
        try:
            document, recording = await self._redis.hmget(f"talkie:{kind}:{key}", ["about", "sample"])
        except redis.RedisError as error:
            raise _unreachable(error) from error
        if isinstance(document, bytes) and isinstance(recording, bytes):
            return document, recording
        return None

    async def write(self, kind: Kind, key: str, document: bytes, recording: bytes) -> bool:
        """Keep both; return False when the key is taken."""
        try:
            async with self._redis.pipeline(transaction=True) as both:
                both.hsetnx(f"talkie:{kind}:{key}", "sample", recording)
                both.hsetnx(f"talkie:{kind}:{key}", "about", document)
                written, _ = await both.execute()
        except redis.RedisError as error:
            raise _unreachable(error) from error
        return bool(written)

    async def remove(self, kind: Kind, key: str) -> bool:
        """Drop both; return whether there was something."""
        try:
            return bool(await self._redis.delete(f"talkie:{kind}:{key}"))
        except redis.RedisError as error:
            raise _unreachable(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _unreachable(error: redis.RedisError) -> Unavailable:
    return Unavailable(f"Stored voices cannot be reached: {error}.", retry_after_s=2)


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= _LONGEST_NAME_BYTES


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise InvalidRequest("name: 1 to 64 letters, digits, spaces, dots, dashes or underscores.", param="name")
    if voice_key(name).startswith(_ID_PREFIX):
        raise InvalidRequest(f"name: names do not begin with {_ID_PREFIX}; ids do.", param="name")


def voice_key(name: str) -> str:
    """Return the key of a voice's name: names that differ only in case or spaces are one."""
    return re.sub(r"[ .]+", "-", name.strip().lower())
