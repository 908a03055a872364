"""Speech from a vLLM-Omni server, which serves Qwen3-TTS to many clients at once.

The server runs on its own, with one model; this engine speaks its HTTP API and passes the sound on
as it comes.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from cachetools import TTLCache, cachedmethod

from services.chassis.wav import wav_file
from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest, Unavailable
from services.contract.languages import LANGUAGE_NAMES, primary_tag
from services.contract.speech import AUTO, SAMPLE_BYTES, AudioChunk, Generation, SpeechRequest, Voice, is_gender
from services.tts.engine import Reference, Utterance
from services.tts.engines.genders import by_gender
from services.tts.engines.qwen3.speakers import speaker_voice

SAMPLE_RATE_HZ = 24_000

_CONNECT_TIMEOUT_S = 3.0
_SILENCE_TIMEOUT_S = 60.0
_VOICES_TTL_S = 30.0
_REVISION = "1"


class VllmOmniEngine:
    """A vLLM-Omni server at `url`; `model` names one of its models, empty for the one it serves."""

    name = "vllm_omni"
    revision = _REVISION
    cloning = True
    ipa = False
    phoneme_marks = False
    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, url: str, model: str = "") -> None:
        """Raises `Unavailable` when no URL is set; the server itself may come later."""
        if not url:
            raise Unavailable("The vllm_omni engine needs TTS_VLLM_URL, the base URL of a vLLM-Omni server.")
        self._model = model
        timeout = httpx.Timeout(_SILENCE_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._voices: TTLCache[Any, Sequence[Voice]] = TTLCache(1, _VOICES_TTL_S)
        self._lock = threading.Lock()

    @property
    def default_voice(self) -> str:
        """The first voice of the server; empty where only copied ones speak."""
        voices = self.voices()
        return voices[0].name if voices else ""

    @cachedmethod(lambda self: self._voices, lock=lambda self: self._lock)
    def voices(self) -> Sequence[Voice]:
        """Return the server's voices; raises `Unavailable` while it is away."""
        with self._told():
            answer = self._http.get("/v1/audio/voices")
            _raise_for(answer)
        listed = answer.json().get("voices", [])
        names = [voice if isinstance(voice, str) else voice.get("name", "") for voice in listed]
        return [speaker_voice(name).model_copy(update={"name": name}) for name in names if name]

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the languages."""
        return list(LANGUAGE_NAMES)

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle voice and language; the server has the last word."""
        language = AUTO if request.language.lower() == AUTO.lower() else primary_tag(request.language)
        if language not in (AUTO, *LANGUAGE_NAMES):
            raise InvalidRequest(f"language: Qwen3-TTS does not speak {request.language!r}.", param="language")
        voice, notices = ("", list[str]()) if request.reference else self._voice(request.voice)
        if request.pitch != 1:
            notices.append("pitch has no effect with vLLM-Omni.")
        if request.generation != Generation(max_new_tokens=request.generation.max_new_tokens):
            notices.append("Of generation_params, only max_new_tokens has an effect with vLLM-Omni.")
        return Utterance(
            text=request.text,
            voice=voice,
            language=language,
            speed=request.speed,
            model=self._model or "served",
            instruct=request.instruct,
            generation=request.generation,
            seed=request.seed,
            live=request.live,
            notices=tuple(notices),
        )

    def _voice(self, asked: str) -> tuple[str, list[str]]:
        """Return the name to send for the voice asked for, and what to tell about it."""
        if is_gender(asked):
            return by_gender(self.voices(), asked, self.default_voice)
        return asked or self.default_voice, []

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech as the server sends it; closing the generator hangs up."""
        odd = b""
        with self._told(), self._http.stream("POST", "/v1/audio/speech", json=self._body(utterance)) as answer:
            _raise_for(answer)
            for data in answer.iter_raw():
                whole = len(odd + data) // SAMPLE_BYTES * SAMPLE_BYTES
                pcm, odd = (odd + data)[:whole], (odd + data)[whole:]
                yield AudioChunk(pcm, SAMPLE_RATE_HZ)

    def warm_up(self) -> None:
        """Return when the server is there."""
        self.check()

    def check(self) -> None:
        """Return when the server answers; raise `Unavailable` otherwise."""
        with self._told():
            _raise_for(self._http.get("/health"))

    def forget(self, digest: str) -> None:
        """The server keeps nothing of references that are sent with each request."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _body(self, utterance: Utterance) -> dict[str, Any]:
        body: dict[str, Any] = {
            "input": utterance.text,
            "language": LANGUAGE_NAMES.get(utterance.language, AUTO),
            "speed": utterance.speed,
            "max_new_tokens": utterance.generation.max_new_tokens,
            "response_format": "pcm",
            "stream": True,
            "stream_format": "audio",  # without it, streaming means server-sent events
            "initial_codec_chunk_frames": 1,
        }
        optional = {
            "model": self._model,
            "voice": utterance.voice,
            "instructions": utterance.instruct,
            "seed": utterance.seed,
        }
        body |= {name: value for name, value in optional.items() if value not in ("", None)}
        return body | (_copying(utterance.reference) if utterance.reference else {})

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what can happen on the way to the server into errors of ours."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unavailable(f"The vLLM-Omni server at {self._http.base_url} is away.", retry_after_s=2) from error
        except httpx.TransportError as error:
            raise EngineFailed(f"The vLLM-Omni server broke off ({type(error).__name__}); try again.") from error


def _copying(reference: Reference) -> dict[str, Any]:
    wav = base64.b64encode(wav_file(reference.pcm, SAMPLE_RATE_HZ)).decode()
    fields: dict[str, Any] = {
        "task_type": "Base",
        "ref_audio": f"data:audio/wav;base64,{wav}",
        "x_vector_only_mode": not reference.transcript,
    }
    return fields | ({"ref_text": reference.transcript} if reference.transcript else {})


def _raise_for(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    reason = f"vLLM-Omni answers {answer.status_code}: {answer.read().decode(errors='replace')[:300]}"
    if answer.status_code in (429, 503):
        raise AtCapacity(reason, retry_after_s=1)
    if answer.status_code < 500:
        raise InvalidRequest(reason)
    raise EngineFailed(reason)
