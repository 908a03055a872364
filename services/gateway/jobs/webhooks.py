"""Tells somebody elsewhere that a job is over, as Standard Webhooks has it: signed, and again until it is heard."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone

import httpx
from anyio import fail_after
from standardwebhooks import Webhook

from services.contract.errors import InvalidRequest, ServiceError
from services.contract.jobs import WebhookData, WebhookEvent
from services.gateway.jobs.record import JobRecord
from services.gateway.jobs.store import JobStore
from services.gateway.jobs.tasks import WebhookTask, webhook_task
from services.gateway.outside import Outside

_log = logging.getLogger(__name__)

_TIMEOUT_S = 15.0
_NOT_YET_S = 2.0
AGAIN_AFTER_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0)
"""Pauses between tries; after the last one nobody is told any more."""


class Webhooks:
    """Sends webhooks, signed with one secret."""

    def __init__(self, store: JobStore, outside: Outside, secret: str) -> None:
        """`secret` is base64 after `whsec_`; empty where webhooks are switched off. Raises `ValueError`."""
        self._store = store
        self._outside = outside
        self._signing = Webhook(secret) if secret else None

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` for a URL that nothing is sent to."""
        if self._signing is None:
            raise InvalidRequest(
                "webhook_url: webhooks are switched off here; GATEWAY_WEBHOOK_SECRET signs them.", param="webhook_url"
            )
        await self._outside.check(url, "webhook_url")

    async def send(self, task: WebhookTask) -> tuple[str, float] | None:
        """Tell it; return the task to do next and in how many seconds, None when it was heard or is given up."""
        record = await self._store.get(task.job_id)
        if record is None or self._signing is None or not record.webhook_url:
            return None
        if not record.over:
            return webhook_task(task.job_id, task.status, task.tries), _NOT_YET_S
        if record.job.status != task.status:  # put into the queue by a worker that did not come to its end
            return None
        try:
            with fail_after(_TIMEOUT_S):
                heard = await self._sent(record)
        except (httpx.HTTPError, httpx.InvalidURL, ServiceError, TimeoutError, ValueError) as error:
            _log.info("webhook of %s: %s", record.id, type(error).__name__)
            heard = False
        if heard or task.tries >= len(AGAIN_AFTER_S):
            _log.log(logging.INFO if heard else logging.WARNING, "webhook of %s: heard: %s", record.id, heard)
            return None
        return task.again(), AGAIN_AFTER_S[task.tries]

    async def _sent(self, record: JobRecord) -> bool:
        assert self._signing is not None
        event = _event(record)
        body, now = event.model_dump_json(), datetime.now(timezone.utc)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signing.sign(event.id, now, body),
        }
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
            request = await self._outside.request(
                client, "POST", record.webhook_url, "webhook_url", headers=headers, content=body.encode()
            )
            answer = await client.send(request, stream=True, follow_redirects=False)
            await answer.aclose()
            return answer.is_success


def _event(record: JobRecord) -> WebhookEvent:
    """Return the event; every try sends the same one, and by its id who hears it twice can tell."""
    status = "video.completed" if record.job.status == "completed" else "video.failed"
    return WebhookEvent(
        id=f"evt_{record.id}_{record.job.status}",
        type=status,
        created_at=record.job.completed_at or int(time.time()),
        data=WebhookData(id=record.id),
    )
