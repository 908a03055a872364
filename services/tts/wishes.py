"""From a request to a wish: whose voice is to be copied is looked up."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.contract.speech import SAMPLE_BYTES, SpeechRequest, is_gender
from services.tts.engine import Reference
from services.tts.keeping import Keeping
from services.tts.references import RATE_HZ, unknown_reference, usable_transcript
from services.tts.voices import Voices


@dataclass(frozen=True)
class Wish:
    """A request whose voice is looked up."""

    request: SpeechRequest
    reference: Reference | None = None
    voice: str = ""
    """Name of the voice that is copied."""
    notices: tuple[str, ...] = ()
    instead: bool = False
    """Whether it is for another voice than the one that was asked for."""

    @property
    def names_voice(self) -> bool:
        """Whether it is for one voice of one engine, and not for any, or any of a gender."""
        return bool(self.request.voice) and not is_gender(self.request.voice)

    def in_another_voice(self) -> Wish:
        """Return the wish with whatever voice there is in place of the one that was asked for."""
        told = f"Another voice than {self.request.voice} speaks."
        request = self.request.model_copy(update={"voice": ""})
        return replace(self, request=request, notices=(*self.notices, told), instead=True)


class Wishes:
    """Looks up stored voices and uploaded references."""

    def __init__(self, voices: Voices, keeping: Keeping, usual_voice: str) -> None:
        """`usual_voice` is the one to copy where none is named."""
        self._voices = voices
        self._keeping = keeping
        self._usual_voice = usual_voice

    async def of(self, request: SpeechRequest) -> Wish:
        """Find the sound behind a stored voice's name or a reference's digest."""
        if request.reference:
            self._voices.check_unnamed_copy()
            pcm = await self._keeping.reference(request.reference)
            if pcm is None:
                raise unknown_reference(request.reference)
            transcript, notices = _transcript(request, request.transcript, pcm)
            return Wish(request, Reference(request.reference, pcm, transcript), "reference", notices)
        wish = Wish(request)
        return await self._named(request) if wish.names_voice else wish

    async def in_usual_voice(self, wish: Wish) -> Wish:
        """Name the configured voice where none is: checkpoints that copy have none of their own."""
        if not self._usual_voice or wish.names_voice or wish.reference is not None:
            return wish
        named = await self._named(wish.request.model_copy(update={"voice": self._usual_voice}))
        return replace(named, notices=(*wish.notices, *named.notices))

    async def _named(self, request: SpeechRequest) -> Wish:
        """Find the sound behind the request's voice, if it is a stored one."""
        stored = await self._voices.find(request.voice)
        if stored is None:
            return Wish(request)
        voice, pcm = stored
        transcript, notices = _transcript(request, request.transcript or voice.transcript, pcm)
        copied = request.model_copy(update={"voice": "", "reference": voice.reference})
        return Wish(copied, Reference(voice.reference, pcm, transcript), voice.name, notices)


def _transcript(request: SpeechRequest, transcript: str, pcm: bytes) -> tuple[str, tuple[str, ...]]:
    if request.x_vector_only:
        return "", ()
    usable, notices = usable_transcript(transcript, len(pcm) / SAMPLE_BYTES / RATE_HZ)
    return usable, tuple(notices)
