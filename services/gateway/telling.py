"""The headers that tell how an answer's speech was made."""

from __future__ import annotations

from urllib.parse import quote

from services.contract.speech import (
    CACHE_HEADER,
    ENGINE_HEADER,
    LANGUAGE_HEADER,
    NOTICE_HEADER,
    TAKES_HEADER,
    VOICE_HEADER,
)
from services.gateway.clients import SpeechAnswer

_PLAIN = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"


def told(answer: SpeechAnswer, *notices: str) -> dict[str, str]:
    """Return the headers for speech that begins with `answer`; other letters than ASCII are percent-encoded."""
    headers = {
        ENGINE_HEADER: answer.engine,
        LANGUAGE_HEADER: answer.language,
        VOICE_HEADER: quote(answer.voice, safe=" "),
        TAKES_HEADER: str(answer.takes),
        CACHE_HEADER: "hit" if answer.cached else "miss",
    }
    all_notices = dict.fromkeys(notice for notice in (answer.notices, *notices) if notice)
    return headers | ({NOTICE_HEADER: quote(" ".join(all_notices), safe=_PLAIN)} if all_notices else {})
