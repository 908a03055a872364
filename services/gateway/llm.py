"""The language model whose answers are spoken: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from services.contract.errors import EngineFailed, InvalidRequest, ServiceError, Unavailable
from services.gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 5.0
_MOST_TOLD_CHARS = 300
_DATA, _END = "data:", "[DONE]"
_SILENT = "The language model wrote nothing for too long."
_NOT_NOW, _NOT_SO = (429, 503), (400, 413, 422)


class ChatMessage(BaseModel):
    """What somebody said to the model, or it to them."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: Any = None


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    choices: list[_Choice] = []
    error: Any = None


class LanguageModel(Protocol):
    """Answers messages."""

    def answer(
        self, messages: Sequence[ChatMessage], model: str = "", options: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[str, None]:
        """Yield the answer as it is written; closing it stops the model.

        Raises `Unavailable` when it cannot be reached, `InvalidRequest` when it refuses, `EngineFailed` when it
        breaks off.
        """


class ChatCompletions:
    """A language model over HTTP."""

    def __init__(self, base_url: str, api_key: str, model: str, silence_s: float) -> None:
        """`silence_s` is how long it may write nothing."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(silence_s, connect=_CONNECT_TIMEOUT_S)
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout)
        self._silence_s = silence_s
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def answer(
        self, messages: Sequence[ChatMessage], model: str = "", options: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[str, None]:
        """Yield the answer as it is written."""
        body = {
            **(options or {}),
            "model": model or self._model,
            "messages": [message.model_dump() for message in messages],
            "stream": True,
        }
        try:
            async with self._http.stream("POST", self._url, json=body) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, (await answer.aread()).decode(errors="replace"))
                finished = False
                async for data in self._messages(answer):
                    text, is_last = _text_of(data) if data != _END else ("", True)
                    finished = finished or is_last
                    if text:
                        yield text
                if not finished:
                    raise EngineFailed("The language model broke off before the end of its answer.")
        except httpx.ConnectError as error:
            raise Unavailable("The language model cannot be reached (LLM_BASE_URL).", retry_after_s=5) from error
        except httpx.TimeoutException as error:
            raise EngineFailed(_SILENT) from error
        except httpx.RequestError as error:
            raise EngineFailed("The language model broke off before the end of its answer.") from error
        except ValueError as error:  # of JSON: what it is asked holds no number, or half a letter
            raise InvalidRequest("messages: this cannot be sent as JSON.", param="messages") from error

    async def _messages(self, answer: httpx.Response) -> AsyncGenerator[str, None]:
        """Yield what the events say, to the end; some servers leave out the last one."""
        heard_at_s = time.monotonic()
        async for line in answer.aiter_lines():
            if line.startswith(_DATA):
                heard_at_s = time.monotonic()
                data = line.removeprefix(_DATA).strip()
                yield data
                if data == _END:
                    return
            elif time.monotonic() - heard_at_s > self._silence_s:  # proxies keep a silent connection awake
                raise EngineFailed(_SILENT)


def language_model(settings: GatewaySettings) -> ChatCompletions | None:
    """Return the language model that `settings` name; None where they name none."""
    if not settings.llm_base_url:
        return None
    return ChatCompletions(settings.llm_base_url, settings.llm_api_key, settings.llm_model, settings.llm_silence_s)


class Answer:
    """What a language model says, as far as it has come; a failure ends it, and is kept to be told."""

    def __init__(self, written: AsyncGenerator[str, None]) -> None:
        self._written = written
        self.text = ""
        self.failure: ServiceError | None = None

    async def tokens(self) -> AsyncGenerator[str, None]:
        """Yield the tokens."""
        async with aclosing(self._written):
            try:
                async for token in self._written:
                    self.text += token
                    yield token
            except ServiceError as error:
                self.failure = error


def _text_of(data: str) -> tuple[str, bool]:
    """Return what an event adds to the answer, and whether that is its end."""
    try:
        chunk = _Chunk.model_validate_json(data)
    except ValidationError as error:
        raise EngineFailed("The language model sent something else than an answer.") from error
    if chunk.error is not None:
        raise EngineFailed(f"The language model failed: {str(chunk.error)[:_MOST_TOLD_CHARS]}")
    if not chunk.choices:
        return "", False
    [choice] = chunk.choices[:1]
    return (choice.delta and choice.delta.content) or "", choice.finish_reason is not None


def _refusal(status: int, told: str) -> ServiceError:
    if status in _NOT_NOW:
        return Unavailable("The language model has no room now; try again shortly.", retry_after_s=5)
    if status in _NOT_SO:
        return InvalidRequest(f"The language model refuses: {told[:_MOST_TOLD_CHARS]}", param="messages")
    # A wrong key, model or URL is ours, and what is said of it may hold a part of the key.
    _log.error("the language model answered %d: %s", status, told[:_MOST_TOLD_CHARS])
    return EngineFailed(f"The language model answered {status}; the log has the details.")
