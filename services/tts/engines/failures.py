"""What ONNX Runtime and the libraries around it raise, told in the service's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zipfile import BadZipFile

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnxruntime.capi.onnxruntime_pybind11_state import (
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
    RuntimeException,
)

from services.contract.errors import EngineFailed, Unavailable

_LIBRARY_ERRORS = (
    *(EPFail, Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile, NotImplemented, RuntimeException),
    *(ArithmeticError, BadZipFile, DecodeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError),
)
"""The libraries check little and raise whatever comes of it; ONNX Runtime's errors have no common ancestor."""


@contextmanager
def speaking(what: str) -> Iterator[None]:
    """Raise `EngineFailed` for anything the library raises while it speaks."""
    try:
        yield
    except _LIBRARY_ERRORS as error:
        raise EngineFailed(f"{what} broke while speaking: {error}") from error


@contextmanager
def loading(files: str, cure: str) -> Iterator[None]:
    """Raise `Unavailable` for anything the library raises while it loads `files`."""
    try:
        yield
    except _LIBRARY_ERRORS as error:
        raise Unavailable(f"{files} cannot be loaded ({error}); {cure}.") from error
