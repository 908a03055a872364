"""A real Chromium plays films while they are made, and the studio page makes one."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import chromium_page

TEXT = "Hello there. This film plays while the rest of it is still being made."
PLAYED = """video => new Promise((resolve, reject) => {
    video.onerror = () => reject(new Error(video.error.message));
    const tell = () => resolve({
        width: video.videoWidth, height: video.videoHeight, duration: video.duration, at: video.currentTime,
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
    });
    if (video.ended) tell(); else video.onended = tell;
})"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium_page() as page:
        yield page


def test_a_video_element_plays_the_stream_from_its_address(page: Page, stack: str) -> None:
    page.goto(f"{stack}/health/live")
    source = f"{stack}/video/stream?text={quote(TEXT)}&size=320x180"
    page.evaluate("source => { document.body.innerHTML = `<video autoplay src='${source}'></video>` }", source)
    played = page.locator("video").evaluate(PLAYED)
    assert (played["width"], played["height"]) == (320, 180)
    assert played["at"] > 3
    assert played["frames"] > 60


def test_the_studio_page_makes_a_film_and_offers_it(page: Page, stack: str) -> None:
    page.goto(stack)
    page.locator("#avatars img").nth(1).click()
    languages = page.locator("#language option").all_inner_texts()
    assert {"automatic", "English", "Portuguese", "Polish"} <= set(languages)
    assert len(set(languages)) == len(languages)
    assert "Auto" not in languages
    page.fill("#text", TEXT)
    page.click("#go")
    page.wait_for_function("document.querySelector('#download').hidden === false", timeout=30_000)
    assert "First picture after" in page.inner_text("#status")
    played = page.locator("#video").evaluate(PLAYED)
    assert (played["width"], played["height"]) == (512, 512)
    assert played["duration"] == pytest.approx(played["at"], abs=0.1)


def test_the_studio_page_says_what_is_wrong(page: Page, stack: str) -> None:
    page.goto(stack)
    page.fill("#text", "…")
    page.click("#go")
    page.wait_for_selector("#status.error", timeout=30_000)
    assert len(page.inner_text("#status")) > 10
