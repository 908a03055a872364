"""Voices: those there are, and storing copied ones with the consent of their owners."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile

from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO, StoredVoice, VoiceConsent
from services.gateway.clients import TtsClient

_Name = Annotated[str, Form(max_length=64)]
_Text = Annotated[str, Form(max_length=5_000)]


def voices_router(tts: TtsClient) -> APIRouter:
    """Return the routes below `/v1/audio` about voices."""
    router = APIRouter(prefix="/v1/audio", tags=["voices"])

    @router.get("/voices")
    async def list_voices() -> dict[str, Any]:
        """List the built-in voices of every engine here, and the stored ones."""
        built_in = [
            voice.model_dump() | {"engine": engine.engine} for engine in await tts.engines() for voice in engine.voices
        ]
        stored = [voice.model_dump() | {"stored": True} for voice in await tts.stored_voices()]
        return {"voices": [*built_in, *stored]}

    @router.post("/voices", status_code=201)
    async def add_voice(
        name: _Name,
        audio_sample: Annotated[UploadFile | None, File()] = None,
        sample: Annotated[UploadFile | None, File(description="The same as audio_sample.")] = None,
        transcript: _Text = "",
        ref_text: Annotated[str, Form(max_length=5_000, description="The same as transcript.")] = "",
        consent: _Name = "",
    ) -> StoredVoice:
        """Store a copied voice under a name: 3 to 30 s of clear speech, and what is said in it."""
        file = audio_sample or sample
        if file is None:
            raise InvalidRequest("audio_sample: send the recording of the voice as a file.", param="audio_sample")
        return await tts.store_voice(name, await file.read(), transcript or ref_text, consent)

    @router.delete("/voices/{name}")
    async def remove_voice(name: str) -> dict[str, Any]:
        """Remove a stored voice, by name or id, and everything that was made with it."""
        voice = await tts.remove_voice(name)
        return {"id": voice.id, "object": "audio.voice", "deleted": True}

    @router.post("/voice_consents", status_code=201)
    async def add_consent(
        name: _Name,
        recording: Annotated[UploadFile, File()],
        language: Annotated[str, Form(max_length=40)] = AUTO,
    ) -> VoiceConsent:
        """Keep the recording in which a person agrees to have their voice copied."""
        return await tts.add_consent(name, language, await recording.read())

    return router
