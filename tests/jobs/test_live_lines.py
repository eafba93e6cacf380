"""What a terminal shows of a run: a line for each running job, one for all; nothing elsewhere."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from logging import LogRecord, makeLogRecord
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_caploc as plugin

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = SimpleNamespace(dryrun=False, stdout=False)


def event(kind, **facts) -> LogRecord:
    return makeLogRecord({"msg": "", "event": kind, **facts})


@pytest.fixture
def screen(monkeypatch):
    """A logger on a terminal."""
    stderr = io.StringIO()
    stderr.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    handler = plugin.LogHandler(SETTINGS, None)
    assert handler.writes_to_stream
    yield handler
    handler.close()


def shown(handler) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(handler._screen.lines())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_for_each_job_and_one_for_all(screen, monkeypatch):
    clock = SimpleNamespace(now=screen._screen._started)
    monkeypatch.setattr(plugin.time, "monotonic", lambda: clock.now)
    for number, rule in enumerate(("attribute_shard", "evaluate_base"), start=1):
        log = [f"logs/run/{rule}/a.log"]
        job = {"jobid": number, "rule_name": rule, "wildcards": {"task": "sums"}, "log": log}
        screen.handle(event(LogEvent.JOB_INFO, **job))
    screen.handle(event(LogEvent.JOB_STARTED, jobs=[1, 2]))
    screen.handle(event(LogEvent.RUN_INFO, stats={"all": 1, "total": 40}))
    assert shown(screen)[-1].startswith("0 of 40 steps")
    screen.handle(event(LogEvent.PROGRESS, done=10, total=40))
    state = {"what": "samples", "done": 64, "total": 400, "rate": "12/s", "left": 75.2}
    folder = Path(os.environ["CAPLOC_PROGRESS"])
    (folder / "logs~run~attribute_shard~a.log").write_text(json.dumps(state))
    clock.now += 60
    first, second, last = (re.sub(r" {2,}", "  ", line) for line in shown(screen))
    assert first == "attribute_shard sums  64/400 samples  12/s, 1:15 left"
    assert second == "evaluate_base sums  1:00 gone"
    assert last == "10 of 40 steps  1:00 gone  about 3:00 left"
    screen.handle(event(LogEvent.JOB_FINISHED, job_id=1))
    screen.handle(event(LogEvent.JOB_ERROR, jobid=2))
    assert len(shown(screen)) == 1
    screen.close()
    assert not folder.exists()


@pytest.mark.parametrize("settings", [SETTINGS, SimpleNamespace(dryrun=True, stdout=False)])
def test_elsewhere_the_stream_is_left_to_snakemake(monkeypatch, settings):
    stderr = io.StringIO()
    stderr.isatty = lambda: settings.dryrun
    monkeypatch.setattr(sys, "stderr", stderr)
    before = dict(os.environ)
    handler = plugin.LogHandler(settings, None)
    assert not handler.writes_to_stream
    handler.handle(event(LogEvent.PROGRESS, done=1, total=2))
    handler.close()
    assert stderr.getvalue() == "" and dict(os.environ) == before


SNAKEFILE = """
rule all:
    input: "b"
rule work:
    output: "b"
    log: "logs/work.log"
    shell: "{python} work.py && touch b"
"""
WORK = """
import os, time
os.environ["CAPLOC_LOG"] = "logs/work.log"
from caploc.jobs.progress import tracked
for _ in tracked(range(6), 6, "pieces"):
    time.sleep(0.4)
"""


@pytest.fixture
def small(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.replace("{python}", sys.executable))
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


CALL = [str(Path(sys.executable).parent / "snakemake"), "--cores", "1", "--logger", "caploc"]


def test_snakemake_on_a_terminal(small):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        CALL, cwd=small, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux: the other side was closed
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    assert process.wait(60) == 0, text.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode())
    assert re.search(r"work +\d/6 pieces +[\d.]+/s, 0:0\d left", plain), plain
    assert re.search(r"0 of 2 steps +0:0\d gone", plain)
    assert "2 of 2 steps (100%) done" in plain  # Snakemake's own messages


def test_snakemake_in_a_log_is_as_without_it(small):
    texts = []
    for call in (CALL, CALL[:3]):
        done = subprocess.run(
            [*call, "--forceall"], cwd=small, capture_output=True, text=True, check=True
        )
        assert "\x1b" not in done.stderr
        other_each_time = r"\[[A-Z][^\]]*\]|\S*\.snakemake\.log|  (Date|Workflow ID|Command): .*"
        texts.append(re.sub(other_each_time + r"|Elapsed time: .*", "", done.stderr))
    assert texts[0] == texts[1]
