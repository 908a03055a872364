"""The speech stream survives any cut into pieces, and refuses what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.errors import InvalidRequest
from services.contract.events import SpeechDecoder, decode_speech, encode_chunk, encode_end, encode_speech
from services.contract.speech import AudioChunk, Mark, join_chunks

MARKS = st.lists(
    st.builds(
        Mark,
        kind=st.sampled_from(["phoneme", "word"]),
        text=st.text(max_size=8),
        start_s=st.floats(0, 600),
        end_s=st.floats(0, 600),
    ),
    max_size=3,
).map(tuple)
CHUNKS = st.lists(
    st.builds(AudioChunk, pcm=st.binary(max_size=40).map(lambda b: b + b), sample_rate_hz=st.just(24_000), marks=MARKS),
    max_size=5,
)


@given(CHUNKS, st.integers(1, 50))
def test_what_goes_in_comes_out_however_the_body_is_cut(chunks: list[AudioChunk], piece_bytes: int) -> None:
    body = b"".join(encode_chunk(chunk) for chunk in chunks) + encode_end()
    decoder = SpeechDecoder()
    read: list[AudioChunk] = []
    for at in range(0, len(body), piece_bytes):
        read += decoder.feed(body[at : at + piece_bytes])
    decoder.finish()
    assert read == chunks


@given(CHUNKS.filter(bool), st.data())
def test_a_stream_cut_anywhere_is_noticed(chunks: list[AudioChunk], data: st.DataObject) -> None:
    body = b"".join(encode_chunk(chunk) for chunk in chunks) + encode_end()
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(InvalidRequest, match="cut short"):
        decode_speech(body[:cut])


@pytest.mark.parametrize(
    "body",
    [
        b"RIFF....WAVE\n",
        b"{}\n",
        b'{"type": "audio", "sample_rate_hz": 24000, "pcm_bytes": -2}\n',
        b'{"type": "audio", "sample_rate_hz": 24000, "pcm_bytes": 3}\nabc',
        b'{"type": "audio", "sample_rate_hz": 24000, "pcm_bytes": 99999999999}\n',
        b'{"type": "audio", "sample_rate_hz": 0, "pcm_bytes": 2}\nab',
        b'{"type": "end"}\n{"type": "end"}\n',
        b"\xff\xfe\n",
        b"\n",
        bytes(5 * 1024 * 1024),
    ],
)
def test_what_is_not_a_speech_stream_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_speech(body)


def test_chunks_join_into_one_utterance() -> None:
    mark = Mark(kind="word", text="hi", start_s=0.1, end_s=0.2)
    chunks = [AudioChunk(b"aabb", 24_000, (mark,)), AudioChunk(b"cc", 24_000)]
    whole = join_chunks(chunks)
    assert whole == AudioChunk(b"aabbcc", 24_000, (mark,))
    assert decode_speech(encode_speech(whole)) == [whole]


@pytest.mark.parametrize("chunks", [[], [AudioChunk(b"aa", 24_000), AudioChunk(b"aa", 16_000)]])
def test_chunks_of_no_or_several_rates_do_not_join(chunks: list[AudioChunk]) -> None:
    with pytest.raises(ValueError, match="one sample rate"):
        join_chunks(chunks)
