"""FFmpeg's audio filters, fed a piece at a time."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np

from services.tts.sound import Sound

FilterSpec = tuple[str, str]
"""Name and arguments of one filter, as on the command line of ffmpeg: ("highpass", "f=70")."""


class FilterChain:
    """Filters in a row. The output lags behind what was pushed; `finish` gives the rest."""

    def __init__(self, sample_rate_hz: int, filters: Sequence[FilterSpec]) -> None:
        self._rate = sample_rate_hz
        self._pushed = 0
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(sample_rate=sample_rate_hz, format="flt", layout="mono")
        self._source = last = source
        for name, arguments in filters:
            following = self._graph.add(name, arguments)
            last.link_to(following)
            last = following
        as_floats = self._graph.add("aformat", "sample_fmts=flt")
        self._sink = self._graph.add("abuffersink")
        last.link_to(as_floats)
        as_floats.link_to(self._sink)
        self._graph.configure()

    def push(self, sound: Sound) -> Sound:
        """Take the next piece and return what is ready."""
        if len(sound):
            frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="flt", layout="mono")
            frame.sample_rate = self._rate
            frame.pts = self._pushed
            self._pushed += len(sound)
            self._source.push(frame)
        return self._ready()

    def finish(self) -> Sound:
        """Return what is still inside."""
        if not self._pushed:
            return np.empty(0, np.float32)
        self._source.push(None)
        return self._ready()

    def _ready(self) -> Sound:
        pieces: list[Sound] = []
        while True:
            try:
                frame = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return np.concatenate(pieces) if pieces else np.empty(0, np.float32)
            assert isinstance(frame, av.AudioFrame)
            pieces.append(frame.to_ndarray()[0])
