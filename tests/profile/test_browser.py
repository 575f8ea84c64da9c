"""The report in a real browser: it renders, says nothing on the console, and fits a phone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgeseq.profile.report import html
from tests.profile.documents import document, run
from tests.profile.test_report import GROWTH, SOAK

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--dump-dom",
)  # fmt: skip

SECONDS = 300

MEASURE = """<script>addEventListener("load", () => {
  const shown = [...document.querySelectorAll("svg")].filter(
    (svg) => svg.getBoundingClientRect().width > 200);
  const small = [...document.querySelectorAll("svg text")].filter(
    (text) => text.getBoundingClientRect().height < 8);
  document.title = [innerWidth, document.documentElement.scrollWidth, shown.length, small.length,
    getComputedStyle(document.body).backgroundColor].join("|");
});</script>"""
"""Only in the test: the report itself has no script, and forbids any."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        words = f"no browser; install one of {', '.join(NAMES)} (make test does)"
        # A check that silently does not run is worse than none.
        assert os.environ.get("CI") != "true", words
        pytest.skip(words)
    return found


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The folder by HTTP: a browser in a snap may not read files of /tmp."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    # A page that has no icon makes browsers ask for one, and tell when there is none.
    (tmp_path / "favicon.ico").write_bytes(b"")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def shown(browser: str, url: str, *switches: str) -> tuple[str, list[str]]:
    """The page after loading, and what it wrote on the console."""
    done = subprocess.run(
        [browser, *SWITCHES, *switches, url], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


def report() -> str:
    text = run("bytes-gru", metric_name="bits per byte", metric=2.4, budget=None, words=[])
    names = [run(name, step_p50_us=60.0 + 9 * n) for n, name in enumerate("abcdefg")]
    return html(document(*names, text, warnings=["too hot"], growth=[GROWTH], soak=[SOAK]))


def test_the_report_renders_and_the_console_stays_empty(
    browser: str, address: str, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(report(), encoding="utf-8")
    page, console = shown(browser, f"{address}/report.html")
    assert console == []
    assert page.count("<svg") == report().count("<svg")
    # The same look at a page that has errors does see them.
    broken = report().replace("</main>", '</main><img src="http://127.0.0.1:9/a.png">')
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    _, console = shown(browser, f"{address}/broken.html")
    assert any("Content Security Policy" in line for line in console)


@pytest.mark.parametrize(
    ("switches", "paper"),
    [
        (("--window-size=1200,900",), "rgb(255, 255, 255)"),
        (("--window-size=500,900", "--blink-settings=preferredColorScheme=0"), "rgb(15, 19, 24)"),
    ],
    ids=["wide-light", "narrow-dark"],
)
def test_it_fits_wide_and_narrow_light_and_dark(
    browser: str, address: str, tmp_path: Path, switches: tuple[str, ...], paper: str
) -> None:
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report())
    (tmp_path / "report.html").write_text(page.replace("</body>", f"{MEASURE}</body>"))
    dom, _ = shown(browser, f"{address}/report.html", *switches)
    found = re.search(r"<title>(.*?)</title>", dom)
    assert found is not None
    inner, scroll, pictures, small, background = found[1].split("|")
    assert int(scroll) <= int(inner)
    assert int(pictures) == page.count("<svg")
    assert (int(small), background) == (0, paper)
