"""A real browser: Debian's Chromium, driven by Playwright, without a network."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless; a page of ours needs no sandbox, and root may not have one."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def offline(browser: Browser) -> Iterator[BrowserContext]:
    """Pages that can reach no network."""
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    yield context
    context.close()
