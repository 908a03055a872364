"""Reads what a request says in its query, its JSON body or its form, as one set of fields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile

from services.contract.errors import InvalidRequest, TooLarge

_LARGEST_JSON_BYTES = 2 * 1024**2
"""Of text alone; it is read on the event loop."""


@dataclass(frozen=True)
class Fields:
    """The fields of a request, and the files in it."""

    values: dict[str, Any]
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it, however it was sent."""
        files = {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}
        return hashlib.sha256(json.dumps([self.values, files], sort_keys=True, default=str).encode()).hexdigest()


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return what the reference tells of a request whose body `read_fields` reads."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {})
    schema = {"schema": _inlined(whole, parts)}
    return {"requestBody": {"content": {"application/json": schema, "multipart/form-data": schema}}}


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    """Return `schema` with its parts in their places: a reference's own components know nothing of them."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
        return {name: _inlined(value, parts) for name, value in schema.items()}
    return [_inlined(value, parts) for value in schema] if isinstance(schema, list) else schema


async def read_fields(request: Request, file_names: Sequence[str]) -> Fields:
    """Return what `request` says; files may be sent as `file_names`.

    Raises `InvalidRequest` for a body that is neither JSON nor a form, and for other files.
    """
    values: dict[str, Any] = dict(request.query_params)
    files: dict[str, bytes] = {}
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        async with request.form(max_files=4, max_fields=40) as form:
            files = await _files(form, file_names)
            values |= {name: value for name, value in form.items() if isinstance(value, str)}
    elif await request.body():
        values |= await _json_object(request)
    return Fields(values, files)


async def _files(form: FormData, names: Sequence[str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in names:
                raise InvalidRequest(f"{name}: files can be sent as {' and '.join(names)} only.", param=name)
            files[name] = await value.read()
    return files


async def _json_object(request: Request) -> dict[str, Any]:
    if len(await request.body()) > _LARGEST_JSON_BYTES:
        raise TooLarge(f"The JSON is larger than {_LARGEST_JSON_BYTES // 1024**2} MiB; send files in a form.")
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:  # the latter for brackets nested without end
        raise InvalidRequest("The body is neither JSON nor a form; see /docs for examples.") from error
    if not isinstance(body, dict):
        raise InvalidRequest('The body must be a JSON object such as {"text": "Hello"}.')
    return body
