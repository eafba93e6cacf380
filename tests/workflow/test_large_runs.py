"""A run of 500 data sets: what its jobs are told fits a command line, and arrives whole."""

import re
import shlex

import pytest
import yaml

from caploc import cli
from caploc.jobs.handed import handed, received

N_TASKS = 500
LONGEST_ARGUMENT = 128 * 1024
"""Bytes: of one argument of a program, on Linux with pages of 4 KiB."""


@pytest.mark.workflow
def test_the_commands_of_500_data_sets_fit_and_arrive(fresh, monkeypatch):
    names = [f"data-set-number-{i}" for i in range(N_TASKS)]
    samples = {"locate": 40, "train": 40, "validation": 10, "test": 20}
    entries = {
        name: {"plugin": "emotions", "samples": samples, "title": f"Data set {name}"}
        for name in names
    }
    run = {"name": "many", "tasks": names, "pairs": [], "experiments": [], "shuffled": False,
           "masks": ["s3"], "headline_mask": "s3"}  # fmt: skip
    text = yaml.safe_dump({"run": run, "tasks": entries})
    (fresh.folder / "many.yaml").write_text(text)
    told = fresh.run("-n", "-p", config="many.yaml")
    commands = re.findall(r"caploc \w+ --threads .*", told)
    assert len(commands) > 2_500
    assert max(len(command.encode()) for command in commands) < LONGEST_ARGUMENT / 2
    monkeypatch.chdir(fresh.folder)
    jobs = {}
    for command in commands:
        stage = command.split()[1]
        if stage in ("write_report", "tabulate_base"):
            jobs[stage] = cli._job(cli._parser().parse_args(shlex.split(command)[1:]))
    assert [task["id"] for task in jobs["write_report"].spec["tasks"]] == names
    assert len(jobs["tabulate_base"].inputs["answers"]) >= N_TASKS


@pytest.mark.parametrize("n", [3, 5_000])
def test_words_come_back(tmp_path, monkeypatch, n):
    monkeypatch.chdir(tmp_path)
    words = [f"--input=a{i} b" for i in range(n)]
    given = handed(words)
    assert (given == words) == (n == 3) and handed(words) == given
    if n > 3:
        (word,) = given
        assert received(word).split("\n") == words
        (tmp_path / word[1:]).write_text("damaged")
        assert handed(words) == given and received(word).split("\n") == words
