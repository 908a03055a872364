"""espeak-ng's C API through ctypes. Only the worker process may import this: the library is GPL-3.0."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import espeakng_loader

from services.tts.engines.espeak.wire import Event, Order

OnChunk = Callable[[list[Event], bytes], bool]
"""Takes the next stretch of speech; returns False to end the synthesis."""

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS, _PHONEME_IPA, _DONT_EXIT = 0x0001, 0x0002, 0x8000
_CHARS_UTF8, _END_PAUSE = 0x0001, 0x1000
_RATE, _PITCH, _RANGE = 1, 3, 4
_BUFFER_MS = 200
_LAST_EVENT = 0


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library, initialized. It speaks one utterance at a time."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        numbers, pointers = [ctypes.c_uint] * 4, [ctypes.c_void_p] * 2
        self._lib.espeak_Synth.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *numbers, *pointers]
        options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate_hz: int = self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data, options)
        if self.sample_rate_hz <= 0:
            raise OSError(f"espeak_Initialize answered {self.sample_rate_hz}")
        self.version: str = self._lib.espeak_Info(None).decode()
        self._on_chunk: OnChunk | None = None
        self._broken: OSError | EOFError | None = None
        self._callback = _Callback(self._on_synthesized)  # the C side holds only a pointer to it
        self._lib.espeak_SetSynthCallback(self._callback)

    def languages(self) -> list[tuple[str, str, str]]:
        """Return tag, English name and voice file of each language: ("pt-br", "Portuguese (Brazil)", "roa/pt-BR")."""
        return [
            (voice.languages[1:].decode(), voice.name.decode(), voice.identifier.decode())
            for voice in self._voices(None)
        ]

    def variants(self) -> list[str]:
        """Return the names of the variants that can be put after a voice and a plus sign."""
        every_variant = _Voice(languages=b"variant")
        return [voice.identifier.decode().removeprefix("!v/") for voice in self._voices(ctypes.byref(every_variant))]

    def speak(self, order: Order, on_chunk: OnChunk) -> None:
        """Speak `order` and hand each stretch of it to `on_chunk`.

        Raises `ValueError` for a voice that does not exist, and whatever `OSError` or `EOFError` ended `on_chunk`.
        """
        if self._lib.espeak_SetVoiceByName(order.voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {order.voice!r}")
        for parameter, value in ((_RATE, order.rate_wpm), (_PITCH, order.pitch), (_RANGE, order.pitch_range)):
            self._lib.espeak_SetParameter(parameter, value, 0)
        text = order.text.encode() + b"\0"
        self._on_chunk, self._broken = on_chunk, None
        status = self._lib.espeak_Synth(text, len(text), 0, 1, 0, _CHARS_UTF8 | _END_PAUSE, None, None)
        if self._broken is not None:
            raise self._broken
        if status != 0:
            raise OSError(f"espeak_Synth answered {status}")

    def _voices(self, spec: Any) -> Iterator[_Voice]:
        found = self._lib.espeak_ListVoices(spec)
        index = 0
        while found[index]:
            yield found[index].contents
            index += 1

    def _on_synthesized(self, samples: Any, count: int, events: Any) -> int:
        assert self._on_chunk is not None
        pcm = ctypes.string_at(samples, count * 2) if samples else b""
        try:
            return 0 if self._on_chunk(list(_events(events)), pcm) else 1
        except (OSError, EOFError) as error:  # an exception cannot cross the C library
            self._broken = error
            return 1


def _events(events: Any) -> Iterator[Event]:
    index = 0
    while (event := events[index]).type != _LAST_EVENT:
        yield Event(event.type, event.sample, event.text_position, event.length, event.id.string)
        index += 1
