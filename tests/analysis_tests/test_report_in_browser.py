"""The report in a real browser: no error, nothing fetched, nothing cut off, at desktop and at phone width."""

import base64
import json
from urllib.parse import urlparse

import pytest

from tests.browser import DESKTOP, PHONE, SCREENSHOTS, browser

__all__ = ["browser"]

_CUT_OFF = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('main *, header *, footer *')]
  .filter(each => !each.closest('.scroll, svg') && each.getClientRects().length)
  .filter(each => each.getBoundingClientRect().right > wide + 1 || each.getBoundingClientRect().left < -1)
  .map(each => each.tagName + ' ' + each.className + ' ' + each.textContent.slice(0, 40));
"""
_SMALL_TEXT = """
return [...document.querySelectorAll('svg.plot')].filter(each => each.getClientRects().length).flatMap(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll('text')].map(text => parseFloat(getComputedStyle(text).fontSize) * scale)
    .filter(size => size < 8.5);
});
"""


def shown(browser, size):
    """Have the page laid out for a screen of this width, as a phone does it, without a window's least width."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def requested(browser):
    """Every address that was asked for since the log was last read."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance"))
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_report_opens_whole_without_an_error_and_without_a_request(browser, written, size):
    shown(browser, size)
    requested(browser), browser.errors()
    browser.open(written.as_uri(), size)
    fetched = {urlparse(address).scheme for address in requested(browser)}
    assert fetched == {"file", "data"}
    assert browser.errors() == []
    assert browser.driver.execute_script(_CUT_OFF) == []
    assert browser.driver.execute_script(_SMALL_TEXT) == []
    broken = "return [...document.images].filter(each => !each.naturalWidth).map(each => each.alt)"
    assert browser.driver.execute_script(broken) == []
    keep_whole_page(browser, f"report-{size[0]}")


def test_nothing_is_cut_off_on_paper(browser, written):
    """A4 with the margins of the style sheet is 182 mm wide, 688 px."""
    shown(browser, (688, 1000))
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.open(written.as_uri())
    over = """
      const wide = document.documentElement.clientWidth;
      return [...document.querySelectorAll('table, svg, img, p, dl')]
        .filter(each => each.getBoundingClientRect().right > wide + 1).map(each => each.outerHTML.slice(0, 90));
    """
    assert browser.driver.execute_script(over) == []
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def keep_whole_page(browser, name):
    clip = browser.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"] | {"scale": 1}
    taken = browser.driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip | {"height": min(clip["height"], 16000)}}
    )
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))


def test_a_screen_reader_is_given_landmarks_headings_and_named_pictures(browser, written):
    """What the browser itself computes for assistive technology, not what the source intends."""
    browser.open(written.as_uri())
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    heard = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node.get("ignored")]
    roles = {role for role, _ in heard}
    assert {"banner", "main", "contentinfo", "navigation", "region", "table", "columnheader", "rowheader"} <= roles
    pictures = [name for role, name in heard if role in {"image", "img", "graphics-document"}]
    assert len(pictures) >= 13 + 24 + 6
    assert all(pictures)
    assert all(name for role, name in heard if role in {"table", "region", "heading"})
