"""`caploc plan` as people call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caploc.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
# A network, torch or transformers would end this.
GUARDED = """
import socket, sys
def refuse(*a, **k): raise RuntimeError("network")
socket.socket.connect = refuse
from caploc.cli import main
status = main(sys.argv[1:])
bad = {"torch", "transformers", "polars", "datasets"} & set(sys.modules)
sys.exit(status or (f"imported {bad}" if bad else 0))
"""


@pytest.fixture(autouse=True)
def at_home(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def test_an_answer_within_three_seconds_without_network():
    """Seconds of the processor: other work on the machine does not count."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, "plan", "config/llama2-7b.yaml", "--device", "h100"],
        capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    after = os.times()
    assert done.returncode == 0, done.stderr
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 3
    text = done.stdout
    assert "enhance_task" in text and "attribute_shard" in text
    assert "not measured: maker's peak of 989 TFLOP/s" in text
    assert "of the time" in text and " leaves " in text
    assert "Does not fit h100 (80 GiB): enhance_task" in text


def test_json_says_where_every_length_comes_from(capsys):
    assert main(["plan", "config/small-hub.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["device"]["name"] == "cpu"
    assert found["lengths"]["smollm2-135m"]["gsm8k"]["source"]
    assert {"name", "jobs", "seconds", "host_bytes"} <= set(found["stages"][0])


def test_more_devices_and_own_rates(capsys):
    assert main(["plan", "config/llama2-7b.yaml", "--flops", "3e14", "--at-once", "4"]) == 0
    text = capsys.readouterr().out
    assert "a100-80 (--flops)" in text
    assert "4 jobs at once: " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config/none.yaml"], "config/none.yaml: cannot be read (No such file"),
        (["config/llama2-7b.yaml", "--device", "abacus"], "--device abacus: no rate is known"),
        (["--at-once", "0"], "--at-once 0: expected at least 1"),
        (["--base", "README.md"], "README.md: "),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line(arguments, message, caplog):
    assert main(["plan", *arguments]) == 2
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert message in record.getMessage() and "\n" not in record.getMessage()


def test_a_wrong_setting(tmp_path, caplog):
    path = tmp_path / "wrong.yaml"
    path.write_text("run: {splits: two}")
    assert main(["plan", str(path)]) == 2
    assert 'config run.splits: found "two", expected integer' in caplog.text


def test_a_text_that_holds_no_settings(tmp_path, caplog):
    path = tmp_path / "list.yaml"
    path.write_text("- one")
    assert main(["plan", str(path)]) == 2
    assert "holds no settings" in caplog.text


def test_a_model_and_rows_of_ones_own(tmp_path, capsys, save_model):
    """Size from config.json, rows as the file holds them, lengths from its characters."""
    folder = save_model()
    rows = [{"q": f"some forty characters of a prompt: {i:05}", "a": "abcdefg"} for i in range(90)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.yaml").write_text(
        "run: {name: mine, models: [m], tasks: [mine], neutral: null, pairs: [], experiments: []}\n"
        f"models: {{m: {{family: llama, path: {folder}}}}}\n"
        f"tasks: {{mine: {{plugin: generic, files: {tmp_path}/rows.jsonl, prompt: '{{q}}', "
        "answer: ' {a}', samples: {locate: 1000, train: 10, validation: 10, test: 10}}}\n"
    )
    assert main(["plan", str(tmp_path / "mine.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lengths"]["m"]["mine"] == {"prompt": 10, "answer": 2, "source": "config"}
    (jobs,) = (s["jobs"] for s in found["stages"] if s["name"] == "attribute_shard")
    assert jobs == 1
    assert main(["plan", str(tmp_path / "mine.yaml")]) == 0
    text = capsys.readouterr().out
    assert "memory GiB" in text and "GPU" not in text
