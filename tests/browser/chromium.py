"""Which browser the tests drive, and how it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

SYSTEM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",  # headless as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch(playwright: Playwright) -> Browser:
    """Start a Chromium: the system's, else Playwright's own. Without one the tests are skipped, or fail where demanded."""
    path = next((found for name in SYSTEM if (found := shutil.which(name))), playwright.chromium.executable_path)
    if not Path(path).exists():
        sentence = "No Chromium: install Debian's `chromium`, or run `playwright install chromium`."
        if os.environ.get("GTM_REQUIRE_BROWSER") == "1":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    return playwright.chromium.launch(executable_path=path, args=FLAGS)
