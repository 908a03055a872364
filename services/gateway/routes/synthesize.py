"""Speech with a style, by default the one that suits the text's emotion: the sound is fetched by URL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.chassis.streaming import unless_disconnected
from services.contract.speech import AUTO, Manner
from services.gateway.casting import check_text
from services.gateway.clients import TtsClient
from services.gateway.narration import Narration, narrate
from services.gateway.outputs import Outputs
from services.gateway.sentences import LONGEST_SENTENCE_CHARS, likely_language
from services.gateway.settings import GatewaySettings
from services.gateway.telling import told
from services.gateway.text.emotion import NEUTRAL, Emotion, Style, emotion_of, style_named, style_of
from services.gateway.whole import whole_of

_AT_ONCE = 4
_PIECE_CHARS = 100
"""About as long are the pieces of a long text that are spoken side by side."""


class SynthesizeRequest(BaseModel):
    """Body of `POST /synthesize`."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1)
    style: str = Field("Neutral", max_length=40, description="Neutral, Happy, Sad, Angry, Fearful, Surprised ...")
    style_weight: float = Field(1.0, ge=0, le=10, description="1 is all of a style, and more counts as 1.")
    use_cache: bool = True
    use_emotion_analysis: bool = Field(True, description="Choose the style from the text, when none is given.")
    noise_scale: float | None = Field(None, ge=0, le=2, description="Of VITS voices; no effect with these engines.")
    noise_scale_w: float | None = Field(None, ge=0, le=2, description="Of VITS voices; no effect with these engines.")
    length_scale: float | None = Field(None, ge=0.25, le=4, description="2 speaks half as fast.")
    voice: str = Field("", max_length=100)
    language: str = Field(AUTO, max_length=40)


class ParallelRequest(SynthesizeRequest):
    """Body of `POST /synthesize/parallel`."""

    parallel: bool = True
    max_parallel: int | None = Field(_AT_ONCE, ge=1, le=64, description="Segments spoken at once, at most.")
    segments: int | None = Field(None, ge=1, le=64, description="The same as max_parallel.")

    @property
    def wanted_at_once(self) -> int:
        """Segments to be spoken side by side."""
        return (self.segments or self.max_parallel or _AT_ONCE) if self.parallel else 1


def synthesize_router(settings: GatewaySettings, tts: TtsClient, outputs: Outputs) -> APIRouter:
    """Return `/synthesize`, `/synthesize/parallel` and `/outputs`."""
    router = APIRouter(tags=["synthesize"])

    async def spoken(
        body: SynthesizeRequest,
        request: Request,
        response: Response,
        at_once: int = 1,
        longest_chars: int = LONGEST_SENTENCE_CHARS,
    ) -> tuple[dict[str, Any], int]:
        """Return the answer, and of how many pieces the speech is."""
        check_text(body.text, settings.max_text_chars)
        emotion, style = _expression(body)
        manner = _manner(body, style)
        narration = Narration(body.text, body.language, manner, at_once=at_once, longest_chars=longest_chars)
        speech = await unless_disconnected(request, whole_of(narrate(tts, narration)))
        response.headers.update(told(speech.answers[0], *speech.notices, *_otherwise(body, at_once)))
        answer = {
            "audio_url": f"/outputs/{outputs.keep(speech.wav(), 'wav')}",
            "emotion": emotion.name,
            "style": style.name,
            "style_weight": emotion.weight,
            "cached": speech.cached,
        }
        return answer, len(speech.answers)

    @router.post("/synthesize")
    async def synthesize(body: SynthesizeRequest, request: Request, response: Response) -> dict[str, Any]:
        """Speak a text; the answer says where its WAV can be fetched for an hour."""
        answer, _ = await spoken(body, request, response)
        return answer

    @router.post("/synthesize/parallel")
    async def synthesize_parallel(body: ParallelRequest, request: Request, response: Response) -> dict[str, Any]:
        """Speak a long text, cut at sentence and clause ends, several pieces side by side."""
        at_once = min(body.wanted_at_once, settings.parallel_sentences)
        answer, segments = await spoken(body, request, response, at_once, _PIECE_CHARS)
        return answer | {"segments": segments, "parallel": body.parallel}

    @router.get("/outputs/{name}", response_class=Response)
    async def output(name: str) -> Response:
        """Fetch a WAV."""
        return Response(outputs.fetch(name), media_type="audio/wav", headers={"Cache-Control": "max-age=3600"})

    return router


def _is_analysed(body: SynthesizeRequest) -> bool:
    """Whether the text chooses the style: the caller gave none."""
    return body.use_emotion_analysis and "style" not in body.model_fields_set


def _expression(body: SynthesizeRequest) -> tuple[Emotion, Style]:
    """Return the text's emotion and the style to speak in; the emotion's weight is the style's, too."""
    weight = min(body.style_weight, 1.0)
    if not _is_analysed(body):
        return replace(NEUTRAL, weight=weight), style_named(body.style, weight)
    emotion = emotion_of(body.text, likely_language(body.text, body.language))
    if "style_weight" in body.model_fields_set:
        emotion = replace(emotion, weight=weight)
    return emotion, style_of(emotion)


def _manner(body: SynthesizeRequest, style: Style) -> Manner:
    plain = Manner(voice=body.voice, speed=1 / (body.length_scale or 1.0), live=False, use_cache=body.use_cache)
    return style.applied(plain)


def _otherwise(body: SynthesizeRequest, at_once: int) -> Iterator[str]:
    """Yield what goes another way than `body` asks."""
    if given := [name for name in ("noise_scale", "noise_scale_w") if getattr(body, name) is not None]:
        yield f"{', '.join(given)}: no effect with these engines."
    if body.style_weight > 1:
        yield f"style_weight: {body.style_weight:g} counts as 1, which is all of a style."
    if isinstance(body, ParallelRequest) and at_once < body.wanted_at_once:
        yield f"max_parallel: {at_once} at once, not {body.wanted_at_once}; GATEWAY_PARALLEL_SENTENCES is the most."
