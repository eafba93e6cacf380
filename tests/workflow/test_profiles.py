"""The profiles name rules that exist, and rules ask for resources as the profiles expect."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from workflow_copy import REPOSITORY, Workflow
from workflow_rules import read_rules

PROFILES = {
    name: yaml.safe_load((REPOSITORY / f"profiles/{name}/profile.yaml").read_text())
    for name in ("default", "slurm")
}
SLURM = PROFILES["slurm"]
# One job each, or long ones: a data set may have to be fetched.
ALONE = {
    "train_model", "fetch_model", "prepare_samples", "prepare_facts", "check_splits",
    # Planted models need no accelerator, but minutes each.
    "plant_model", "check_plant", "measure_effects", "score_plant", "check_null",
}  # fmt: skip


@pytest.fixture(scope="module")
def rules():
    found = read_rules()
    assert {"train_model", "attribute_shard", "write_report"} <= found.keys()
    return found


def of_attempt(rule, name, attempt):
    return rule.resources[name].evaluate(wildcards={}, attempt=attempt).value


def test_every_rule_that_the_profile_names_exists(rules):
    named = SLURM["groups"].keys() | SLURM["set-resources"].keys()
    assert named <= rules.keys()
    assert SLURM["group-components"].keys() == set(SLURM["groups"].values())


def test_every_small_rule_is_in_a_group_and_none_that_loads_a_model(rules):
    loads_a_model = {name for name, rule in rules.items() if "gpu" in rule.resources}
    assert SLURM["groups"].keys() == rules.keys() - loads_a_model - ALONE


@pytest.mark.parametrize("name", ["mem_mb", "runtime"])
def test_memory_and_time_of_every_rule_grow_with_the_attempt(rules, name):
    for rule in rules.values():
        first, third = (of_attempt(rule, name, attempt) for attempt in (1, 3))
        assert 0 < first < third == 3 * first, rule.name


def test_only_what_comes_first_takes_several_processors(rules):
    """On two cores a job of two threads waits for as long as jobs of one thread run."""
    threads = {name: rule.resources["_cores"].value for name, rule in rules.items()}
    assert {name for name, n in threads.items() if n > 1} == {"train_model", "plant_model"}
    assert max(threads.values()) <= SLURM["cores"]  # of a Slurm job


def test_both_profiles_treat_unfinished_and_changed_files_alike(rules):
    keys = ("rerun-incomplete", "show-failed-logs", "keep-going", "rerun-triggers", "quiet")
    assert [PROFILES["default"][key] for key in keys] == [SLURM[key] for key in keys]
    # Never by the rule: that would retry in the same Slurm job, with its old memory.
    assert SLURM["retries"] > 0
    assert not any(rule._restart_times for rule in rules.values())


@pytest.mark.workflow
def test_no_group_waits_for_itself(fresh, need):
    """Snakemake refuses a group that one of its own jobs has to wait for outside of it."""
    plugin = Path(sys.prefix) / "slurm"
    need("slurm", plugin.is_dir(), "no Slurm plug-in of Snakemake (make .venv/.installed-dev)")
    fresh = Workflow(fresh.folder, programs=Path(sys.prefix))  # it looks for plug-ins when loaded
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
