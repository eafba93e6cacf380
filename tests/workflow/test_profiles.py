"""The profiles name rules that exist, and rules ask for resources as the profiles expect."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from workflow_copy import REPOSITORY

PROFILES = {
    name: yaml.safe_load((REPOSITORY / f"profiles/{name}/profile.yaml").read_text())
    for name in ("default", "slurm")
}
SLURM = PROFILES["slurm"]
# Text of every rule by name.
RULES = {
    name: text
    for path in (REPOSITORY / "workflow/rules").glob("*.smk")
    for name, text in re.findall(
        r"^rule (\w+):\n((?:    .*\n|\n)*)", path.read_text(), flags=re.MULTILINE
    )
}
# One job each, or long ones: a data set may have to be fetched.
ALONE = {
    "train_model", "fetch_model", "prepare_samples", "prepare_facts", "check_splits",
    # Planted models need no accelerator, but minutes each.
    "plant_model", "check_plant", "measure_effects", "score_plant", "check_null",
}  # fmt: skip


def test_there_are_rules():
    assert {"train_model", "attribute_shard", "write_report"} <= RULES.keys()


def test_every_rule_that_the_profile_names_exists():
    named = SLURM["groups"].keys() | SLURM["set-resources"].keys()
    assert named <= RULES.keys()
    assert SLURM["group-components"].keys() == set(SLURM["groups"].values())


def test_every_small_rule_is_in_a_group_and_none_that_loads_a_model():
    loads_a_model = {name for name, text in RULES.items() if "gpu=" in text}
    assert SLURM["groups"].keys() == RULES.keys() - loads_a_model - ALONE


def test_memory_and_time_of_every_rule_grow_with_the_attempt():
    for name, text in RULES.items():
        assert re.search(r"mem_mb=grows\(\d+\),\n +runtime=grows\(\d+\),", text), name


def test_no_rule_uses_more_processors_than_a_slurm_job_may():
    threads = [int(n) for text in RULES.values() for n in re.findall(r"threads: (\d+)", text)]
    assert threads
    assert max(threads) <= SLURM["cores"]


def test_only_what_comes_first_takes_several_processors():
    """On two cores a job of two threads waits for as long as jobs of one thread run."""
    several = {name for name, text in RULES.items() if re.search(r"\n +threads: ", text)}
    assert several == {"train_model", "plant_model"}


def test_both_profiles_treat_unfinished_and_changed_files_alike():
    keys = ("rerun-incomplete", "show-failed-logs", "keep-going", "rerun-triggers", "quiet")
    assert [PROFILES["default"][key] for key in keys] == [SLURM[key] for key in keys]
    # Never by the rule: that would retry in the same Slurm job, with its old memory.
    assert SLURM["retries"] > 0
    assert not any("retries:" in text for text in RULES.values())


@pytest.mark.workflow
def test_no_group_waits_for_itself(fresh, need):
    """Snakemake refuses a group that one of its own jobs has to wait for outside of it."""
    plugin = Path(sys.prefix) / "slurm"
    need("slurm", plugin.is_dir(), "no Slurm plug-in of Snakemake (make .venv/.installed-dev)")
    path = {"PYTHONPATH": f"{fresh.folder / 'workflow'}:{plugin}"}
    options = ("--dry-run", "--workflow-profile", "profiles/slurm")
    assert "Group job tables" in fresh.run(*options, **path)
    # and it would notice
    profile = "profiles/slurm/profile.yaml"
    fresh.edit(profile, "aggregate_scores: scores", "aggregate_scores: tables")
    try:
        refused = fresh.call(*options, **path)
    finally:
        fresh.edit(profile, "aggregate_scores: tables", "aggregate_scores: scores")
    assert refused.returncode
    assert "Error in group tables" in refused.stdout


def test_the_page_on_schedulers_names_keys_that_the_profile_has():
    page = (REPOSITORY / "docs/schedulers.md").read_text()
    text = (REPOSITORY / "profiles/slurm/profile.yaml").read_text()
    keys = re.findall(r"`((?:slurm|latency|cores|jobs|retries|group)[\w-]*):", page)
    assert len(keys) > 8
    for key in keys:
        assert key in text or key == "slurm_extra", key
    assert "docs/schedulers.md" in text
