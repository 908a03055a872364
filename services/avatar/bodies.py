"""What clients send the avatar service: speech, or a picture."""

from __future__ import annotations

from email.message import Message

from fastapi import Request
from starlette.datastructures import UploadFile

from services.avatar.clips import is_clip
from services.avatar.segment import samples_of
from services.contract.errors import InvalidRequest, TooLarge, UnsupportedMedia
from services.contract.events import SPEECH_STREAM, decode_speech
from services.contract.speech import AudioChunk, join_chunks

RAW_PCM = "audio/L16"
PICTURE_FIELD = "picture"

_RATES_HZ = range(8_000, 192_001)


def read_speech(content_type: str, body: bytes) -> AudioChunk:
    """Return the speech of a body, whole: a speech stream, or little-endian PCM as `audio/L16; rate=…`.

    Raises `UnsupportedMedia` for any other type, `InvalidRequest` when the body is malformed or cut short.
    """
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == RAW_PCM.lower():
        return _read_pcm(header, body)
    if header.get_content_type() != SPEECH_STREAM:
        raise UnsupportedMedia(f"Send the speech as {SPEECH_STREAM}, or as {RAW_PCM}; rate=48000; channels=1.")
    chunks = [chunk for chunk in decode_speech(body) if chunk.pcm or chunk.marks]
    if not chunks:
        raise InvalidRequest("There is no sound in the body; send at least one sample of PCM.")
    try:
        return join_chunks(chunks)
    except ValueError as error:
        raise InvalidRequest(f"{error}.") from error


def _read_pcm(header: Message, body: bytes) -> AudioChunk:
    rate = str(header.get_param("rate", ""))
    if not rate.isdecimal() or int(rate) not in _RATES_HZ:
        raise InvalidRequest(f"Say the sample rate in the content type: {RAW_PCM}; rate=48000; channels=1.")
    if str(header.get_param("channels", "1")) != "1":
        raise InvalidRequest("The PCM must have one channel.")
    chunk = AudioChunk(pcm=body, sample_rate_hz=int(rate))
    samples_of(chunk)
    return chunk


async def read_picture(request: Request, most_bytes: int, most_clip_bytes: int) -> bytes:
    """Return the picture or clip a request carries: the multipart field `picture`, or the whole body.

    Raises `TooLarge`, or `InvalidRequest` when there is none.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        async with request.form(max_files=1, max_fields=0) as form:
            upload = form.get(PICTURE_FIELD)
            if not isinstance(upload, UploadFile):
                raise InvalidRequest(f"Send the picture in the field {PICTURE_FIELD!r}.", param=PICTURE_FIELD)
            data = await upload.read(max(most_bytes, most_clip_bytes) + 1)
    else:
        data = await request.body()
    if not data:
        raise InvalidRequest("There is no picture in the body.", param=PICTURE_FIELD)
    what, most = ("clip", most_clip_bytes) if is_clip(data) else ("picture", most_bytes)
    if len(data) > most:
        raise TooLarge(f"The {what} is larger than {most // 1024**2} MiB; send a smaller one.")
    return data
