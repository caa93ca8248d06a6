"""The HTML report in a real browser: light and dark, what it shows, what it escapes, and that long runs open."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from histories import LIMITS, billing

from pytest_temporal_guard.guards import Breach
from pytest_temporal_guard.reports.data import run_data
from pytest_temporal_guard.reports.files import write
from pytest_temporal_guard.settings import Value

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>&amp;\"'"
SCHEMES = {"dark": "0", "light": "1"}  # blink's own numbers

pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if sys.platform == "linux" and os.environ.get("CI"):
            pytest.fail("Chromium is missing: apt-get install -y chromium")
        pytest.skip("no Chromium on this machine")
    return found


def chromium(browser: str, tmp_path: Path, url: str, *options: str, scheme: str = "light") -> str:
    """What Chromium writes; fails on anything that the page logs, such as an error or a refused script."""
    profile = tmp_path / f"profile-{time.monotonic_ns()}"
    result = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--enable-logging=stderr", "--virtual-time-budget=2000", f"--user-data-dir={profile}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", *options, url,
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in result.stderr, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: a long one that breaches, a short one that warns, and a hostile one."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    long, short, hostile = billing("billing-long", 10_300), billing("billing-short", 200), billing(HOSTILE, 40, HOSTILE)
    limit = Value(10_240, "the marker temporal_guard(max_history_events=...)")
    long.breaches.append(
        ("history", "fail", Breach("its history has 10,304 events.", "Continue as new.", ("a", "b"), limit))
    )
    short.breaches.append(("heartbeat", "warn", Breach(f"`pack` beats late {HOSTILE}", HOSTILE, (HOSTILE,))))
    assert write(path, [run_data(each, LIMITS) for each in (hostile, short, long)], [HOSTILE]) is None
    return path


class _Page(HTMLParser):
    """The texts of elements by class and id, and every address that the page would ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]


def text_of(dom: str) -> str:
    return " ".join(
        unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style)\b.*?</\1>", " ", dom, flags=re.S))).split()
    )


def test_it_is_one_file_that_asks_no_network(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = _Page(text)
    assert page.addresses == ["data:,"]
    assert "url(" not in text and "@import" not in text
    assert "img" not in page.tags and page.tags.count("script") == 4  # three runs and the page's own
    assert re.search(r"script-src &#x27;sha256-[A-Za-z0-9+/=]{44}&#x27;", text)


def test_an_open_run_shows_all_of_it(browser: str, report: Path, tmp_path: Path) -> None:
    dom = chromium(browser, tmp_path, f"{report.as_uri()}#run-0", "--dump-dom", "--window-size=1400,1000")
    text = text_of(dom)
    # what breaches comes first
    assert "history: its history has 10,304 events. Limit: 10,240 (the marker" in text
    assert "Continue as new." in text
    assert "charge_customer \u00d7937" in text and "timers \u00d7937" in text
    assert re.search(r"Not drawn: [\d,]+ activities, [\d,]+ timers, 10,30\d events one by one", text)
    assert "no beat for longer than the heartbeat timeout" in text
    assert "charge_customer, attempt 1: failed" in text and "no beat for 51 s; heartbeat timeout 30 s" in text
    assert re.search(r"argument 1 of workflow Billing \(event 1\) 120,00\d bytes, 60% of 200,000", text)
    assert 'role="img"' in dom and 'aria-label="Timeline of Billing: 10,30' in dom
    assert '<tr class="detail" id="run-0-detail"><td' in dom and '<tr class="detail" id="run-1-detail" hidden' in dom
    assert dom.count("<svg") == 1


def test_text_of_users_stays_text(browser: str, report: Path, tmp_path: Path) -> None:
    for run in ("run-1", "run-2"):
        dom = chromium(browser, tmp_path, f"{report.as_uri()}#{run}", "--dump-dom")
        page = _Page(dom)
        assert "<title>Temporal guard: 3 runs, 2 breaches</title>" in dom
        assert "img" not in page.tags and page.tags.count("script") == 4
        assert text_of(dom).count(" ".join(HOSTILE.split())) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_or_dark_as_the_reader_has_it(browser: str, report: Path, tmp_path: Path, scheme: str) -> None:
    shot = tmp_path / "shot.png"
    chromium(browser, tmp_path, report.as_uri(), f"--screenshot={shot}", "--window-size=700,500", scheme=scheme)
    width, height, pixel = png(shot)
    bright = [sum(pixel(x, y)) / 3 for x in range(0, width, 5) for y in range(0, height, 5)]
    ground = sum(pixel(3, 3)) / 3
    assert ground > 235 if scheme == "light" else ground < 35
    # text is there, and stands out from the ground
    assert max(bright) - min(bright) > 150


DRIVER = """
<script>
const seen = {};
const rows = () => [...document.querySelectorAll("tbody.run")].filter((each) => !each.hidden).map((each) => each.id);
const filter = document.getElementById("filter");
const set = (element, value, key = "value") => {
  element[key] = value; element.dispatchEvent(new Event("input", {bubbles: true}));
};
seen.first = rows();
set(filter, "BILLING history"); seen.filtered = rows(); seen.count = document.getElementById("count").value;
set(filter, ""); set(document.getElementById("breached"), true, "checked"); seen.breached = rows();
set(document.getElementById("breached"), false, "checked");
const heads = document.querySelectorAll("thead button");
heads[3].click(); seen.descending = rows(); heads[3].click(); seen.ascending = rows();
seen.sort = [...document.querySelectorAll("#runs > thead th")].map((each) => each.getAttribute("aria-sort"));
const open = document.querySelector("#run-1 .open");
open.focus(); seen.focus = document.activeElement === open;
open.click(); seen.open = [open.getAttribute("aria-expanded"), document.getElementById("run-1-detail").hidden];
const choose = document.querySelectorAll("#run-1 .switch button");
const before = document.querySelector("#run-1 svg").outerHTML;
[...choose].find((each) => each.getAttribute("aria-pressed") === "false").click();
seen.scale = [...choose].map((each) => each.getAttribute("aria-pressed"));
seen.redrawn = document.querySelector("#run-1 svg").outerHTML !== before;
open.click(); seen.closed = [open.getAttribute("aria-expanded"), document.getElementById("run-1-detail").hidden];
document.title = JSON.stringify(seen);
</script>
"""


def without_policy(page: Path) -> str:
    """The page's policy allows no script but its own, so a copy that a test drives has none."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))


def test_it_sorts_filters_and_opens(browser: str, report: Path, tmp_path: Path) -> None:
    text = without_policy(report)
    driven = tmp_path / "driven.html"
    driven.write_text(text.replace("</body>", DRIVER + "</body>"), encoding="utf-8")
    dom = chromium(browser, tmp_path, driven.as_uri(), "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert title is not None
    seen: dict[str, Any] = json.loads(unescape(title[1]))
    all_ = ["run-0", "run-1", "run-2"]
    assert seen == {
        "first": all_,
        "filtered": ["run-0"],
        "count": "1 of 3 runs",
        "breached": ["run-0", "run-1"],
        "descending": ["run-0", "run-1", "run-2"],
        "ascending": ["run-2", "run-1", "run-0"],
        "sort": [None, None, None, "ascending", None, None, None, None, None],
        "focus": True,
        "open": ["true", False],
        "scale": seen["scale"],
        "redrawn": True,
        "closed": ["false", True],
    }
    assert sorted(seen["scale"]) == ["false", "true"]


def test_five_hundred_runs_of_ten_thousand_events_open(browser: str, tmp_path: Path) -> None:
    data = run_data(billing("w", 10_000), LIMITS)
    assert data["events"] >= 10_000
    path = tmp_path / "many.html"
    assert write(path, [{**data, "workflow_id": f"w-{n}", "run_id": str(n)} for n in range(500)], []) is None
    assert path.stat().st_size < 40_000_000
    # the browser takes longer to dump the data than to open the page: let it drop that first
    drop = "<script>for (const each of document.querySelectorAll('script')) each.remove();</script></body>"
    driven = without_policy(path).replace("</body>", drop)
    path.write_text(driven, encoding="utf-8")
    begin = time.monotonic()
    dom = chromium(browser, tmp_path, f"{path.as_uri()}#run-499", "--dump-dom")
    assert time.monotonic() - begin < 30  # about 2 s on a machine that does nothing else
    assert dom.count('class="row"') == 500 and dom.count("<svg") == 1


def test_text_stands_out_enough() -> None:
    """WCAG AA: 4.5 to 1 for each colour of text on each ground that it is written on."""
    style = (files("pytest_temporal_guard.reports") / "page" / "report.css").read_text()
    roots = re.findall(r":root \{(.*?)\}", style, re.S)
    light = dict(re.findall(r"--(\S+): (#[0-9a-f]{6})", roots[0]))
    dark = {**light, **dict(re.findall(r"--(\S+): (#[0-9a-f]{6})", roots[1]))}
    for colours in (light, dark):
        for text in ("ink", "soft", "bad", "odd", "accent"):
            for ground in ("ground", "surface"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["bad"], colours["bad-ground"]) >= 4.5
        assert contrast(colours["odd"], colours["odd-ground"]) >= 4.5
        assert contrast(colours["soft"], colours["raised"]) >= 4.5
        for mark in ("task", "activity", "timer", "child", "message"):  # 3 to 1 for what is no text
            assert contrast(colours[mark], colours["surface"]) >= 3, mark


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def png(path: Path) -> tuple[int, int, Any]:
    """Width, height and a function from x, y to (red, green, blue) of an 8-bit PNG without interlacing."""
    data, at, body = path.read_bytes(), 8, b""
    width = height = channels = 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", chunk[:10])
            channels = {2: 3, 6: 4}[colour]
            assert depth == 8
        elif kind == b"IDAT":
            body += chunk
        at += 12 + length
    raw, stride = zlib.decompress(body), width * channels
    rows: list[bytearray] = []
    above = bytearray(stride)
    for y in range(height):
        filter_, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            left = row[i - channels] if i >= channels else 0
            corner = above[i - channels] if i >= channels else 0
            row[i] = (row[i] + _predicted(filter_, left, above[i], corner)) & 255
        rows.append(row)
        above = row

    def pixel(x: int, y: int) -> tuple[int, ...]:
        return tuple(rows[y][x * channels : x * channels + 3])

    return width, height, pixel


def _predicted(filter_: int, left: int, up: int, corner: int) -> int:
    if filter_ == 4:
        distance = {left: abs(up - corner), up: abs(left - corner), corner: abs(left + up - 2 * corner)}
        return min((left, up, corner), key=lambda each: distance[each])
    return (0, left, up, (left + up) // 2)[filter_]
