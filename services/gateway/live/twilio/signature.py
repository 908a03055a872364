"""Whether it is Twilio that calls: the header X-Twilio-Signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlsplit

from services.contract.errors import Forbidden


def check_signature(auth_token: str, signature: str, path: str, *bases: str) -> None:
    """Raise `Forbidden` unless `signature` is of one of the URLs by which Twilio may have come.

    `bases` are what may stand before `path`, such as https://example.org; Twilio connects by wss alone.
    """
    for url in [url for base in bases for url in _urls(base, path)]:
        digest = hmac.new(auth_token.encode(), url.encode(), hashlib.sha1).digest()
        if hmac.compare_digest(base64.b64encode(digest), signature.encode()):
            return
    raise Forbidden("X-Twilio-Signature: it does not fit; see GATEWAY_TWILIO_AUTH_TOKEN and GATEWAY_PUBLIC_URL.")


def _urls(base: str, path: str) -> list[str]:
    """Return the URL without a port and with one: Twilio has signed either."""
    try:
        parts = urlsplit(base)
        port = parts.port or 443
    except ValueError:  # a Host header may hold anything
        return []
    host, before = parts.netloc.removesuffix(f":{port}"), parts.path.rstrip("/")
    return [f"wss://{host}{before}{path}", f"wss://{host}:{port}{before}{path}"]
