import io
import logging
import sys

from caploc.stages import _progress


def test_items_pass_unchanged(capsys):
    assert list(_progress.tracked(iter("abc"), 3, "work")) == list("abc")
    assert capsys.readouterr().err == ""


def test_lines_every_so_often(monkeypatch, caplog):
    monkeypatch.setattr(_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO):
        list(_progress.tracked(range(3), 3, "work", lambda item: f"item {item}"))
    assert "work: 1 of 3, about 0 s left item 0" in caplog.text
    assert "3 of 3" not in caplog.text


def test_a_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert list(_progress.tracked(range(3), 3, "work")) == [0, 1, 2]
    assert "work" in screen.getvalue() and "3/3" in screen.getvalue()
