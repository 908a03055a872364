"""Makes a finished MP4 of a film's fragments: the same pictures and sound, indexed at the front."""

from __future__ import annotations

import io

import av

_INDEX_BYTES = 16 * 1024
_INDEX_BYTES_PER_PACKET = 16
"""Room for the index. A packet takes 4 bytes of sizes, and at most 12 more of times and offsets."""


def faststart(fragments: bytes) -> bytes:
    """Return the fragmented MP4 `fragments` as one that any player starts before it has all of it.

    Nothing is decoded. Blocking: a tenth of a second for ten minutes of film.
    """
    finished = io.BytesIO()
    with av.open(io.BytesIO(fragments)) as film:
        packets = [packet for packet in film.demux() if packet.dts is not None]
        # The index is written into room kept at the front: moving it there later would need a file to reopen.
        room = _INDEX_BYTES + _INDEX_BYTES_PER_PACKET * len(packets)
        options = {"moov_size": str(room), "fflags": "+bitexact"}
        with av.open(finished, "w", format="mp4", options=options) as out:
            streams = {stream.index: out.add_stream_from_template(stream) for stream in film.streams}
            for packet in packets:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return finished.getvalue()
