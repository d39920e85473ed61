"""A browser without a window, for tests of pages: Debian's Chromium, driven by Selenium, quiet on the network."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

Found = TypeVar("Found")

SCREENSHOTS = Path(os.environ.get("RARETUNE_SCREENSHOTS", Path(__file__).resolve().parent.parent / "build/screenshots"))
"""Where tests leave what they saw; git ignores it, and CI keeps it."""

DESKTOP = (1440, 1000)
PHONE = (390, 844)

_QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

# TensorBoard is made of web components: their text lies in shadow roots, where Selenium's selectors do not look.
_TEXT = """
const parts = [];
(function walk(node) {
  if (node.nodeType === Node.TEXT_NODE) { const text = node.textContent.trim(); if (text) parts.push(text); return; }
  if (['SCRIPT', 'STYLE', 'TEMPLATE'].includes(node.nodeName)) return;
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
})(document.body);
return parts;
"""


class Browser:
    """A page in a window without a screen; `driver` is Selenium's own, for what is not here."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str, size: tuple[int, int] = DESKTOP) -> None:
        """Go to a page, in a window of `size` pixels."""
        self.driver.set_window_size(*size)
        self.driver.get(address)

    def texts(self) -> list[str]:
        """Every piece of text on the page, in document order, those in open shadow roots too."""
        return list(self.driver.execute_script(_TEXT))

    def wait_for(self, what: Callable[[], Found], seconds: float = 60) -> Found:
        """Return what `what` finds, as soon as it is neither None nor False nor empty.

        Raises:
            AssertionError: it never was; the message holds what the page said instead.
        """
        end = time.monotonic() + seconds
        while not (found := what()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s; the page says: {' | '.join(self.texts())[:3000]}")
            time.sleep(0.25)
        return found

    def errors(self) -> list[str]:
        """What the console was told of errors since it was last asked."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def screenshot(self, name: str) -> Path:
        """Keep what the window shows as `name`.png."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{name}.png"
        self.driver.save_screenshot(str(file))
        return file


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests that look at pages; import the fixture where it is used."""
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in `profile`; skips the test where there is none, except in CI."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        reason = "chromium and chromedriver are not here (apt-get install chromium chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must not skip")
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (*_QUIET, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    driver.set_page_load_timeout(120)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
