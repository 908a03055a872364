"""The reader of fragmented MP4."""

from __future__ import annotations

import pytest

from services.chassis.fmp4 import Box, BoxReader


def box(kind: bytes, payload: bytes = b"") -> bytes:
    return (8 + len(payload)).to_bytes(4, "big") + kind + payload


STREAM = box(b"ftyp", b"iso5") + box(b"moov", bytes(300)) + box(b"moof", bytes(40)) + box(b"mdat", bytes(5000))


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 8, 100, len(STREAM)])
def test_boxes_come_out_whole_however_the_stream_is_cut(piece_bytes: int) -> None:
    reader = BoxReader()
    boxes: list[Box] = []
    for at in range(0, len(STREAM), piece_bytes):
        boxes += reader.feed(STREAM[at : at + piece_bytes])
    assert [b.kind for b in boxes] == ["ftyp", "moov", "moof", "mdat"]
    assert b"".join(b.data for b in boxes) == STREAM
    assert [b.is_init for b in boxes] == [True, True, False, False]
    assert reader.at_boundary


def test_a_box_cut_short_is_not_given_out() -> None:
    reader = BoxReader()
    assert [b.kind for b in reader.feed(STREAM[:-1])] == ["ftyp", "moov", "moof"]
    assert not reader.at_boundary


@pytest.mark.parametrize("junk", [b"RIFF\x00\x00\x00\x00WAVE", b"\x00\x00\x00\x00mdat", b"\x00\x00\x00\x01mdat"])
def test_what_is_no_box_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="not a fragmented MP4"):
        BoxReader().feed(junk)
