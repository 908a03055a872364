"""References, stored voices, consents, and what was cached."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Path, Request, UploadFile

from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO, GENDERS, CacheStats, ReferenceInfo, StoredVoice, VoiceConsent
from services.tts.dispatch import Dispatcher
from services.tts.keeping import Keeping
from services.tts.references import ReferenceSound, usable_transcript
from services.tts.settings import TtsSettings
from services.tts.voices import Voices, voice_key

_Name = Annotated[str, Form(max_length=64)]
_Text = Annotated[str, Form(max_length=5_000)]


def voices_router(settings: TtsSettings, voices: Voices, keeping: Keeping, dispatcher: Dispatcher) -> APIRouter:
    """Return the routes about voices that can be copied."""
    router = APIRouter(prefix="/v1", tags=["voices"])

    async def read(data: bytes) -> ReferenceSound:
        return await keeping.read_once(data, settings.max_reference_s)

    @router.post("/references")
    async def add_reference(request: Request) -> ReferenceInfo:
        """Check reference audio, the body, and keep it for a while under the digest of its sound."""
        voices.check_unnamed_copy()
        sound = await read(await request.body())
        await keeping.keep_reference(sound)
        return sound.info

    @router.delete("/references/{digest}", status_code=204)
    async def forget_reference(digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> None:
        """Drop everything that was made with a reference; stored voices stay."""
        await forget(digest)

    async def forget(digest: str) -> None:
        await keeping.forget_reference(digest)
        for speaker in dispatcher.speakers.values():
            await speaker.forget(digest)

    @router.get("/voices")
    async def list_voices() -> list[StoredVoice]:
        """List the stored voices."""
        return await voices.listed()

    @router.post("/voices", status_code=201)
    async def add_voice(
        audio_sample: Annotated[UploadFile, File()], name: _Name, transcript: _Text = "", consent: _Name = ""
    ) -> StoredVoice:
        """Store a voice under a name."""
        sample = await read(await audio_sample.read())
        usable, notices = usable_transcript(transcript, sample.info.duration_s)
        await _refuse_built_in(name)
        return await voices.add(name, sample, usable, consent, (*sample.info.notices, *notices))

    @router.delete("/voices/{name}")
    async def remove_voice(name: str) -> StoredVoice:
        """Remove a stored voice and everything that was made with it."""
        voice = await voices.remove(name)
        await forget(voice.reference)
        return voice

    @router.post("/consents", status_code=201)
    async def add_consent(
        recording: Annotated[UploadFile, File()], name: _Name, language: Annotated[str, Form(max_length=40)] = AUTO
    ) -> VoiceConsent:
        """Keep a person's recorded consent."""
        return await voices.consent(name, language, await read(await recording.read()))

    async def _refuse_built_in(name: str) -> None:
        known = [voice.name for speaker in dispatcher.speakers.values() for voice in await speaker.voices()]
        if voice_key(name) in map(voice_key, (*GENDERS, *known)):
            raise InvalidRequest(f"name: {name!r} is a built-in voice; choose another name.", param="name")

    return router


def cache_router(keeping: Keeping) -> APIRouter:
    """Return the routes about what is kept."""
    router = APIRouter(prefix="/v1/cache", tags=["cache"])

    @router.get("/stats")
    async def stats() -> CacheStats:
        """Tell how the cache does."""
        return keeping.stats()

    @router.post("/cleanup")
    async def cleanup() -> dict[str, int]:
        """Drop what is out of date."""
        return {"removed": await keeping.expire()}

    @router.delete("/clear")
    async def clear() -> dict[str, int]:
        """Drop all kept speech."""
        return {"removed": await keeping.clear()}

    return router
