"""Whole speech POSTed on to a server that takes files."""

from __future__ import annotations

import logging

import httpx

from services.contract.push import PHONE_HEADER, SESSION_HEADER, PostedOn, PushedFile
from services.gateway.push.messages import Session

_log = logging.getLogger(__name__)


class Posting:
    """The server that files are POSTed to."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Without a `url`, nothing is posted."""
        self._url = url
        self._http = httpx.AsyncClient(timeout=timeout_s, trust_env=False, follow_redirects=False)

    async def post(self, session: Session, file: PushedFile) -> PostedOn | None:
        """Post a file, and return whether the server took it; None where there is no server."""
        if not self._url:
            return None
        headers = {
            "Content-Type": "application/json",
            PHONE_HEADER: session.phone_id,
            SESSION_HEADER: session.session_id,
        }
        try:
            async with self._http.stream(
                "POST", self._url, content=file.model_dump_json(by_alias=True), headers=headers
            ) as answer:
                posted = PostedOn(success=answer.is_success, status=answer.status_code)
        except httpx.HTTPError as error:
            posted = PostedOn(success=False, error=f"the server did not answer ({type(error).__name__})")
        if not posted.success:
            _log.warning("push %s: the file was not taken: %s", session.request_id, posted.error or posted.status)
        return posted

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
