"""A real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)


@contextmanager
def chromium_page(*flags: str) -> Iterator[Page]:
    """Give a page that may play with sound."""
    chromium = shutil.which("chromium")
    assert chromium, "scripts/test installs chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])
        yield browser.new_page(viewport={"width": 1100, "height": 800})
        browser.close()
