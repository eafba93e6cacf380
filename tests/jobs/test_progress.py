import io
import json
import logging
import sys

import pytest

from caploc.jobs import progress as _progress


def test_items_pass_unchanged(capsys):
    assert list(_progress.tracked(iter("abc"), 3, "work")) == list("abc")
    assert capsys.readouterr().err == ""


def test_lines_every_so_often(monkeypatch, caplog):
    monkeypatch.setattr(_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    clock = iter([0.0, 4.0, 8.0, 12.0])
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        list(_progress.tracked(range(3), 3, "work", lambda item: f"item {item}"))
    assert [r.getMessage() for r in caplog.records] == [
        "work: 1 of 3, 15/min, about 8 s left item 0", "work: 2 of 3, 15/min, about 4 s left item 1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("done", "seconds", "text"),
    [(10, 4, "2.5/s"), (1, 1, "1/s"), (1, 4, "15/min"), (1, 90, "40/h"), (5, 0.001, "5e+03/s")],
)
def test_rates(done, seconds, text):
    assert _progress._rate(done, seconds) == text


def terminal(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    return screen


def test_a_bar_on_a_terminal(monkeypatch):
    screen = terminal(monkeypatch)
    assert list(_progress.tracked(range(3), 3, "work")) == [0, 1, 2]
    assert "work" in screen.getvalue() and "3/3" in screen.getvalue()
    assert "/s" in screen.getvalue()


def test_a_job_of_a_watched_run_leaves_notes_and_draws_nothing(monkeypatch, tmp_path):
    screen = terminal(monkeypatch)
    monkeypatch.setattr(_progress, "_SECONDS_BETWEEN_NOTES", 0.0)
    monkeypatch.setenv("CAPLOC_PROGRESS", str(tmp_path))
    monkeypatch.setenv("CAPLOC_LOG", "logs/run/rule/a.log")
    seen = []
    for _ in _progress.tracked(range(3), 3, "work"):
        seen += [json.loads(p.read_text()) for p in tmp_path.iterdir()]
    assert [(s["what"], s["done"], s["total"]) for s in seen] == [("work", 1, 3), ("work", 2, 3)]
    assert all(s["rate"] and s["left"] >= 0 for s in seen)
    assert screen.getvalue() == ""
    assert not list(tmp_path.iterdir())


def test_where_notes_cannot_be_left_the_work_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(_progress, "_SECONDS_BETWEEN_NOTES", 0.0)
    monkeypatch.setenv("CAPLOC_PROGRESS", str(tmp_path / "gone"))
    assert list(_progress.tracked(range(3), 3, "work")) == [0, 1, 2]
