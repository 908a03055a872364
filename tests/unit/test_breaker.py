"""The circuit breaker."""

from __future__ import annotations

from services.chassis.breaker import Breaker


def test_what_fails_is_left_alone_for_longer_and_longer() -> None:
    now = [0.0]
    breaker = Breaker(first_s=1, longest_s=3, now=lambda: now[0])
    assert breaker.allows()
    assert breaker.failed()
    assert not breaker.allows()
    for pause_s in (1, 2, 3, 3):
        now[0] += pause_s - 0.01
        assert not breaker.allows()
        now[0] += 0.01
        assert breaker.allows()
        assert not breaker.allows(), "one try at a time"
        assert not breaker.failed(), "no news"
    now[0] += 3
    assert breaker.allows()
    assert breaker.succeeded()
    assert breaker.allows() and breaker.allows()
    assert not breaker.succeeded(), "no news"
