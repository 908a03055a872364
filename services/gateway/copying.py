"""Whose voice to copy: uploaded audio, audio in the request, a stored voice, or audio behind a URL."""

from __future__ import annotations

import base64
import binascii
import re

from services.contract.errors import InvalidRequest
from services.contract.speech import Manner
from services.gateway.clients import TtsClient
from services.gateway.fetching import AudioFetcher

_DATA_URL = re.compile(r"data:audio/[\w.+-]+(;[\w=.+-]+)*;base64,", re.IGNORECASE)
_URL = re.compile(r"https?://", re.IGNORECASE)
_LONGEST_NAME = 70
"""Of 64 characters, or an id, which is a little longer."""


class Copying:
    """Turns what clients send as `ref_audio` into something the tts service knows."""

    def __init__(self, tts: TtsClient, fetcher: AudioFetcher | None) -> None:
        """Without a `fetcher`, URLs are refused."""
        self._tts = tts
        self._fetcher = fetcher

    async def manner(
        self, manner: Manner, ref_audio: str | bytes, ref_text: str = "", *, x_vector_only: bool = False
    ) -> Manner:
        """Return `manner` with the voice to copy; as it is when `ref_audio` is empty.

        Raises `InvalidRequest` for what is neither audio nor a stored voice, and whatever the tts
        service refuses.
        """
        if not ref_audio:
            if ref_text:
                raise InvalidRequest("ref_text: it needs the ref_audio it was said in.", param="ref_text")
            return manner
        update = {"transcript": ref_text, "x_vector_only": x_vector_only}
        if isinstance(ref_audio, str) and _is_name(ref_audio):
            return manner.model_copy(update=update | {"voice": await self._stored(ref_audio.strip())})
        audio = ref_audio if isinstance(ref_audio, bytes) else await self._audio(ref_audio.strip())
        info = await self._tts.add_reference(audio)
        return manner.model_copy(update=update | {"reference": info.reference, "voice": ""})

    async def _stored(self, name: str) -> str:
        """Return the name of the stored voice called `name`."""
        for voice in await self._tts.stored_voices():
            if name.lower() in (voice.name.lower(), voice.id.lower()):
                return voice.name
        raise InvalidRequest(
            f"ref_audio: {name!r} is neither audio nor a stored voice; POST /v1/audio/voices stores one.",
            param="ref_audio",
        )

    async def _audio(self, told: str) -> bytes:
        """Return the audio that `told` is or leads to."""
        if _URL.match(told):
            if self._fetcher is None:
                raise InvalidRequest(
                    "ref_audio: URLs are switched off here (GATEWAY_REFERENCE_URLS); send the audio itself.",
                    param="ref_audio",
                )
            return await self._fetcher.fetch(told)
        if (prefix := _DATA_URL.match(told)) is not None:
            return _decoded(told[prefix.end() :])
        return _decoded(told)


def _is_name(told: str) -> bool:
    """Whether this is what a stored voice can be called, rather than audio."""
    return len(told.strip()) <= _LONGEST_NAME and not _URL.match(told.strip())


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            "ref_audio: neither base64 audio, a https URL, nor the name of a stored voice.", param="ref_audio"
        ) from error
