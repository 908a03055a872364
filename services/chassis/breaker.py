"""A circuit breaker: what has just failed is left alone for a moment, then tried again."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Closed while all is well; open for `first_s` after a failure, and twice as long after each further one.

    When that time is over, one try is let through (half-open): its success closes the breaker, its failure
    opens it again, for `longest_s` at the most. One that takes longer than that is for the caller to wait for.
    """

    def __init__(self, first_s: float = 0.5, longest_s: float = 5.0, now: Callable[[], float] = time.monotonic) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._now = now
        self._open_s = 0.0
        self._again_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether the last try went well."""
        return self._open_s == 0

    def allows(self) -> bool:
        """Return whether to try now; where the answer is yes after a failure, others are told no meanwhile."""
        if self.closed:
            return True
        if self._now() < self._again_at:
            return False
        self._again_at = self._now() + self._open_s
        return True

    def succeeded(self) -> bool:
        """Say that a try went well; return whether that is news."""
        news, self._open_s = not self.closed, 0.0
        return news

    def failed(self) -> bool:
        """Say that a try failed; return whether that is news."""
        news = self.closed
        self._open_s = min(self._longest_s, 2 * self._open_s or self._first_s)
        self._again_at = self._now() + self._open_s
        return news
