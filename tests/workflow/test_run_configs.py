"""The run configurations in config/: complete, valid, and they plan the jobs that they should.

The golden lists hold every rule with its number of jobs and, of a few rules, the wildcards of every
job. After a change that is meant, write them anew and read the difference:

    make snapshot
"""

import re
from pathlib import Path

import pytest
import yaml
from configs import merged

from caploc.config import check

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
# Complete in themselves: what config.yaml says of a run does not reach them.
COMPLETE = ["gptj-6b", "llama2-13b", "llama2-7b", "modern", "small-hub"]
LISTED = ("attribute_shard", "fetch_model", "erase_neurons", "enhance_task", "locate_facts")


def read(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / f"config/{name}.yaml").read_text())


def keys(value, where=()):
    """Paths of all keys of nested dicts."""
    for key, inner in value.items():
        yield (*where, key)
        if isinstance(inner, dict):
            yield from keys(inner, (*where, key))


@pytest.mark.parametrize("name", [*COMPLETE, "full"])
def test_every_run_level_key_is_set(name):
    assert set(read(name)["run"]) >= set(BASE["run"]) - {"title"}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_in_themselves(name):
    """Whatever config.yaml sets for an experiment or an item that runs, the file sets itself."""
    config, run = read(name), read(name)["run"]
    check(merged(BASE, config))
    reached = {path for path in keys({e: BASE["experiments"][e] for e in run["experiments"]})}
    own = {path for path in keys({e: config["experiments"][e] for e in run["experiments"]})}
    assert not reached - own
    for kind in ("models", "tasks", "methods", "masks"):
        wanted = set(run[kind]) | ({run["neutral"]} if kind == "tasks" else set())
        assert wanted <= set(config[kind]), kind
        for item in wanted & set(BASE[kind]):
            assert set(BASE[kind][item]) <= set(config[kind][item]), item


@pytest.mark.parametrize("name", COMPLETE)
def test_the_result_does_not_depend_on_the_values_of_config_yaml(name):
    """Laid over a base with other numbers, what runs is the same."""

    def changed(value):
        if isinstance(value, bool) or not isinstance(value, int):
            return {k: changed(v) for k, v in value.items()} if isinstance(value, dict) else value
        return value + 1

    base = BASE | {"run": changed(BASE["run"]), "experiments": changed(BASE["experiments"])}
    one, other = (check(merged(b, read(name))) for b in (BASE, base))
    assert one["run"] == other["run"]
    for experiment in one["run"]["experiments"]:
        assert one["experiments"][experiment] == other["experiments"][experiment]


@pytest.mark.parametrize("name", COMPLETE)
def test_every_model_has_a_shape(name):
    config = check(merged(BASE, read(name)))
    for model in config["run"]["models"]:
        entry = config["models"][model]
        assert entry["shape"]["hidden"] % entry["shape"]["heads"] == 0
        # No hash that nobody has verified.
        assert entry["revision"] == "main"


@pytest.mark.workflow
@pytest.mark.parametrize("name", COMPLETE)
def test_planned_jobs(fresh, snapshot, name):
    snapshot(name, listed(fresh.run("--dry-run", config=f"config/{name}.yaml")))


def listed(text: str) -> str:
    """Rules with numbers of jobs, then the jobs of a few rules."""
    rows = re.findall(r"^(\w+) +(\d+)$", text.partition("Job stats")[2], flags=re.M)
    counts = dict(rows)
    lines = [f"{rule} {counts[rule]}" for rule in sorted(counts)]
    jobs = re.findall(
        r"^rule (\w+):\n(?: .*\n)*? +wildcards: (.*)\n", text, flags=re.M
    )  # fmt: skip
    lines += sorted(f"{rule}: {wildcards}" for rule, wildcards in jobs if rule in LISTED)
    return "\n".join(lines) + "\n"
