"""The page in a real browser: nothing overflows, nothing is empty, nothing complains.

One Chromium call shows the page in two frames, as wide as a telephone and as a desktop screen, and
a script of the surrounding test page measures them (the report itself has no script).
"""

import html as escaping
import json
import re
import shutil
import subprocess
from pathlib import Path

import example_run
import pytest

from caploc.experiments.known_answer.report import known_answer_page
from caploc.experiments.known_answer.table import ALL, EFFECTIVE, KNOWN_ANSWER

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
NEEDED = (
    "chromium",
    CHROMIUM is not None,
    "no Chromium on this machine (apt-get install chromium)",
)
WIDTHS = (400, 1400)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--virtual-time-budget=4000", "--window-size=1600,1000",
)  # fmt: skip
MEASURE = """
const found = [];
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach((one) => { one.open = true; });
  const charts = [...page.querySelectorAll("svg.chart")].map((svg) => {
    const box = svg.getBoundingClientRect();
    const cut = [...svg.querySelectorAll("text")].filter((text) => {
      const place = text.getBoundingClientRect();
      return place.left < box.left - 1 || place.right > box.right + 1;
    });
    return {
      width: box.width, height: box.height, cut: cut.map((text) => text.textContent),
      marks: svg.querySelectorAll("path[d], line").length,
    };
  });
  found.push({
    visible: root.clientWidth, content: root.scrollWidth, charts,
    main: page.querySelector("main").offsetWidth,
    outside: [...page.querySelectorAll("main *")].filter((one) =>
      !one.closest(".scroll, svg") && one.getBoundingClientRect().right > root.clientWidth + 1
    ).map((one) => one.tagName + "." + one.className),
    scripts: page.querySelectorAll("script, img, iframe").length + (window.pwned || 0),
    sections: [...page.querySelectorAll("section")].map((one) => one.offsetHeight),
  });
}
document.getElementById("found").textContent = JSON.stringify(found);
"""


def _show(text: str, folder: Path, *flags: str) -> tuple[list[dict], list[str]]:
    """What the frames measure, and the lines of the browser's console."""
    frames = "".join(
        f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{escaping.escape(text)}">'
        "</iframe>"
        for width in WIDTHS
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f'<!doctype html><meta charset="utf-8"><body>{frames}<pre id="found"></pre>'
        f'<script>window.addEventListener("load", () => {{ {MEASURE} }});</script>',
        encoding="utf-8",
    )
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"]
    result = subprocess.run(
        [*command, "--dump-dom", wrapper.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    measured = re.search(r'<pre id="found">(.*?)</pre>', result.stdout, flags=re.S)
    assert measured and measured[1], result.stderr[-2000:]
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(escaping.unescape(measured[1])), console


@pytest.fixture(scope="module")
def shown(html, tmp_path_factory, need):
    need(*NEEDED)
    return _show(html, tmp_path_factory.mktemp("browser"))


def test_the_console_is_silent(shown):
    assert shown[1] == []


@pytest.mark.parametrize("index", range(len(WIDTHS)), ids=map(str, WIDTHS))
def test_the_page_does_not_scroll_sideways(shown, index):
    frame = shown[0][index]
    assert WIDTHS[index] - 20 <= frame["visible"] <= WIDTHS[index]
    assert frame["content"] <= frame["visible"]
    assert frame["outside"] == []


@pytest.mark.parametrize("index", range(len(WIDTHS)), ids=map(str, WIDTHS))
def test_every_figure_is_drawn_and_no_label_is_cut(shown, index):
    charts = shown[0][index]["charts"]
    assert len(charts) == 12  # agreement, accuracy, loss, and 3 data sets x 3 kinds of panel
    for chart in charts:
        assert chart["width"] > 250
        assert chart["height"] > 90
        assert chart["marks"] > 5
        assert chart["cut"] == []
    assert min(shown[0][index]["sections"]) > 100


def test_the_page_of_planted_models_is_as_wide_as_its_window(tmp_path, need):
    need(*NEEDED)
    of = {"plant": "two-percent", "seed": 0, "dataset": "emotions"}
    named = of | {"locator": "cnl", "n_samples": 20, "value": 0.5}
    found = [
        *(of | {"metric": metric, "value": 1.0} for metric in ("usable", "accuracy", "chance")),
        named | {"metric": "average_precision", "truth": ALL},
        named | {"metric": "average_precision", "truth": EFFECTIVE},
        of | {"metric": "calibration", "sigma": 0.05, "value": 0.05, "note": "holds"},
    ]
    means = [row | {"seed": None, "plant": "", "dataset": ""} for row in found if "locator" in row]
    table = example_run.frame_of([*found, *means], KNOWN_ANSWER)
    frames, console = _show(known_answer_page("Planted", table), tmp_path)
    assert console == []
    for frame, width in zip(frames, WIDTHS, strict=True):
        assert frame["content"] <= frame["visible"]
        assert frame["main"] >= min(0.85 * width, 1200)
        (chart,) = frame["charts"]
        assert chart["width"] > 250 and chart["cut"] == []


HOSTILE = """</td></svg><script>parent.pwned = 1</script><img src=x onerror="parent.pwned = 1">"'"""


def test_markup_in_data_stays_text(changed, tmp_path, need):
    """In titles, and in every cell of text of a table: nothing becomes an element or runs."""
    need(*NEEDED)
    tasks = [task | {"title": HOSTILE} for task in example_run.TASKS]
    text = changed(tasks=tasks, title=HOSTILE)[2]
    frames, console = _show(text, tmp_path)
    assert [frame["scripts"] for frame in frames] == [0, 0]
    assert console == []
    # the same page does run what is not escaped
    raw = text.replace("</main>", f"{HOSTILE}</main>")
    frames, _ = _show(raw, tmp_path)
    assert min(frame["scripts"] for frame in frames) >= 2


def test_an_overflow_would_be_seen(html, tmp_path, need):
    need(*NEEDED)
    wide = '<p style="width:1500px;max-width:none">too wide</p></main>'
    frames, _ = _show(html.replace("</main>", wide), tmp_path)
    for frame in frames:
        assert frame["content"] > frame["visible"]
        assert frame["outside"]
