"""What is counted of transfers, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.contract.errors import Cancelled
from services.contract.push import PushState

_TRANSFER_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)


class PushMetrics:
    """Counters of one app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "talkie_push_transfer_seconds",
            "From the request to the last acknowledgement.",
            buckets=_TRANSFER_S,
            registry=registry,
        )
        self._transfers = Counter("talkie_push_transfers", "Transfers that are over.", ["outcome"], registry=registry)
        self._chunks = Counter("talkie_push_chunks", "Chunks acknowledged.", registry=registry)
        self._resent = Counter("talkie_push_chunks_resent", "Chunks sent again.", registry=registry)
        self._bytes = Counter("talkie_push_bytes", "Sound acknowledged.", registry=registry)
        self._reconnects = Counter("talkie_push_reconnects", "Connections made after one was lost.", registry=registry)

    def ended(self, state: PushState) -> None:
        """Count a transfer that is over."""
        cancelled = state.error is not None and state.error.code == Cancelled.code
        self._transfers.labels("cancelled" if cancelled else state.status).inc()
        self._chunks.inc(state.chunks_delivered)
        self._resent.inc(state.chunks_resent)
        self._bytes.inc(state.bytes_delivered)
        self._reconnects.inc(state.reconnects)
        if state.success:
            self._seconds.observe(state.transfer_seconds or 0.0)
