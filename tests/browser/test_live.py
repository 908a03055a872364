"""A real Chromium plays a live session that goes on, speaks, and is interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import chromium_page

STATE = """video => ({
    at: video.currentTime, ahead: video.buffered.end(video.buffered.length - 1) - video.currentTime,
    stretches: video.buffered.length, frames: video.getVideoPlaybackQuality().totalVideoFrames,
    error: video.error && video.error.message,
})"""
LONG = "This sentence is so long that it will be interrupted by somebody."


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium_page() as page:
        yield page


def test_the_live_page_speaks_what_is_written_and_never_stops_moving(page: Page, stack: str) -> None:
    page.goto(f"{stack}/live.html")
    page.wait_for_selector("#avatar option", state="attached")
    page.select_option("#avatar", index=1)
    page.click("#begin")
    page.wait_for_function("!document.querySelector('#text').disabled", timeout=20_000)
    video = page.locator("#video")
    page.wait_for_function("document.querySelector('#video').currentTime > 0.5", timeout=20_000)
    before = video.evaluate(STATE)
    page.locator("#text").press_sequentially("I am here. ", delay=20)
    page.wait_for_function("document.querySelector('#status').textContent.includes('I am here.')", timeout=10_000)
    page.locator("#text").press_sequentially(
        "This sentence is so long that it will be interrupted by somebody.", delay=2
    )
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#status').textContent.includes('so long')", timeout=10_000)
    page.click("#interrupt")
    page.wait_for_function("document.querySelector('#status').textContent.startsWith('Stopped')", timeout=5_000)
    page.wait_for_timeout(1500)
    after = video.evaluate(STATE)
    assert after["error"] is None
    assert after["stretches"] == 1
    assert after["at"] - before["at"] > 3
    assert after["frames"] - before["frames"] > 20 * (after["at"] - before["at"])
    assert after["ahead"] < 3
    assert page.inner_text("#text") == ""
