"""The headers that tell how speech was made, on the answers of the tts service and of the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

ENGINE_HEADER = "X-Talkie-Engine"
LANGUAGE_HEADER = "X-Talkie-Language"
VOICE_HEADER = "X-Talkie-Voice"
NOTICE_HEADER = "X-Talkie-Notice"
"""Says what of the request had no effect or went another way than asked, and why."""

TAKES_HEADER = "X-Talkie-Takes"
"""How often the engine had to speak the utterance until it was right."""

CACHE_HEADER = "X-Talkie-Cache"
"""`hit` when the speech had been made before, `miss` when it was made for this request."""

COPIED_HEADER = "X-Talkie-Copied"
"""There when the voice was copied from a reference: what was made with it is nobody's to keep on disk."""

_PLAIN = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"


def speech_headers(
    *,
    engine: str,
    language: str,
    voice: str,
    takes: int,
    cached: bool,
    copied: bool,
    notices: Iterable[str],
) -> dict[str, str]:
    """Return them all; other letters than ASCII are percent-encoded."""
    headers = {
        ENGINE_HEADER: engine,
        LANGUAGE_HEADER: language,
        VOICE_HEADER: quote(voice, safe=" "),
        TAKES_HEADER: str(takes),
        CACHE_HEADER: "hit" if cached else "miss",
    }
    return headers | ({COPIED_HEADER: "true"} if copied else {}) | notice_headers(*notices)


def notice_headers(*notices: str) -> dict[str, str]:
    """Return the header that tells `notices`, each once; none where there are none."""
    notice = " ".join(dict.fromkeys(notice for notice in notices if notice))
    return {NOTICE_HEADER: quote(notice, safe=_PLAIN)} if notice else {}
