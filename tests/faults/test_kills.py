"""SIGKILL of a worker and of Snakemake at seeded moments of a real run, and the documented mending.

benchmarks/faults.py does the same twenty times, with a run for each; here one run is killed again
and again until it is done.
"""

import random

import pytest
from documented import type_in
from warm import programs

import faults

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("victim", ["worker", "snakemake"])
def test_a_run_that_is_killed_three_times_ends_with_the_same_bytes(undisturbed, tmp_path, victim):
    folder = faults.copy_workflow(tmp_path / "caploc")
    draw = random.Random(7)
    recorded: set[str] = set()
    for attempt in range(3):
        # what does not depend on a killed job runs on, so a later attempt may have one job left
        kill = faults.Kill(victim, 1 if attempt else draw.randint(1, 4), draw.uniform(0, 1))
        text, hit = faults.disturb(folder, kill, name=f"attempt-{attempt}")
        assert hit, text
        assert not recorded & set(faults.started(text).values())
        recorded |= faults.finished(text)
        if victim == "snakemake":
            status, refused = faults.call(folder, name="locked")
            assert status == 1
            assert "Directory cannot be locked." in refused
            assert faults.call(folder, "--unlock", name="unlock")[0] == 0
        else:
            assert "Error in rule" in text
    (folder / ".venv").symlink_to(programs())
    status, text = type_in(folder, ".venv/bin/snakemake --cores 2 --configfile mine.yaml")
    assert status == 0, text
    assert not recorded & set(faults.started(text).values())
    assert faults.tables(folder) == faults.tables(undisturbed)
    assert not list((folder / faults.RESULTS).rglob(".*.part"))


def test_moments_are_seeded_and_lie_inside_the_run():
    kills = faults.moments(16, 20, seed=0)
    assert kills == faults.moments(16, 20, seed=0)
    assert sorted(k.victim for k in kills) == ["snakemake"] * 10 + ["worker"] * 10
    assert len({k.job for k in kills}) > 5
    assert all(1 <= k.job <= 16 for k in kills)


def test_what_snakemake_prints_is_understood():
    text = (
        "localrule train_model:\n    output: a/x.json, a/y\n    log: l\n    jobid: 6\n\n"
        "rule build_mask:\n    input: i\n    output: m\n    jobid: 12\n    threads: 1\n\n"
        "Finished jobid: 6 (Rule: train_model)\n"
    )
    assert faults.started(text) == {"6": "a/x.json", "12": "m"}
    assert faults.finished(text) == {"a/x.json"}
