"""For every setting and every module: exactly the rules that rerun.

`golden/reruns.txt` says what a change reruns, as it is now; after a change that is meant, write it
anew with `make snapshot` and read the difference.
"""

import re
import shutil
from functools import cache
from pathlib import Path

import pytest
import yaml
from all_jobs import CONFIG, changed, checked, leaves, stages_of_modules, told
from configs import REPOSITORY

from caploc import plugins

HERE = Path(__file__).parent
HEAD = """\
# What a change reruns, made by `make snapshot`: a setting or a module, and the rules whose jobs
# are told something else or run other code. Rules after those rerun for their new inputs.
# write_report stands nowhere among the settings: the page prints them all.
"""
# Consumed by no rule but the report, which prints every setting: each with the reason.
SHOWN_ONLY = {
    "run.name": "another folder: nothing there yet, so everything runs and nothing reruns",
    "run.title": "heading of the page",
    "run.reuse": "where equal files may be copied from: no result depends on it",
    "run.pairs.[].name": "rows of the page, from the table of all pairs",
    "run.pairs.[].a": "rows of the page, from the table of all pairs",
    "run.pairs.[].b": "rows of the page, from the table of all pairs",
    "run.pairs.[].shares": "rows of the page, from the table of all pairs",
    "tasks.*.title": "name on the page",
    "tasks.*.tokens.prompt": "a guess for `caploc plan` until there are samples",
    "tasks.*.tokens.answer": "a guess for `caploc plan` until there are samples",
    "facts.*.title": "name on the page",
}
# They say which jobs there are: rules that gather files rerun for another set of them.
CHOOSING = {
    "run.models", "run.shuffled", "run.mixture", "run.experiments", "experiments.enhancement.tasks",
    "experiments.fidelity.facts", "experiments.fidelity.locators", "experiments.reliability.facts",
    "experiments.decoupling.families",
    *(f"experiments.known_answer.{extent}.{what}" for extent in ("quick", "full", "tried")
      for what in ("plants", "seeds")),
}  # fmt: skip


@cache
def before():
    return told(checked())


@cache
def settings():
    """Rules that rerun by the setting that has another value, the report left out."""
    found = {}
    for key in sorted(leaves()):
        after = told(changed(key))
        rerun = {job[0] for job, text in after.items() if before().get(job) != text}
        assert "write_report" in rerun, key
        found[key] = rerun - {"write_report"}
    return found


def rows(found):
    """A line for each key; nearly all rules are told by those that are missing."""
    every = set(plugins.stages())
    for key, rules in sorted(found.items()):
        text = " ".join(sorted(rules)) or "none"
        if len(every - rules) <= 10:
            text = " ".join(["every", *(f"-{name}" for name in sorted(every - rules))])
        yield f"{key}: {text}"


def test_what_a_change_reruns(monkeypatch, snapshot):
    modules = {
        name.removeprefix("caploc."): rules
        for name, rules in stages_of_modules(monkeypatch).items()
        if rules != {name.rpartition(".")[2]}  # a stage and its own rule
    }
    lines = ["", "settings", *rows(settings()), "", "modules", *rows(modules)]
    snapshot("reruns", HEAD + "\n".join(lines) + "\n")


def test_a_setting_that_no_rule_consumes_is_named_with_the_reason():
    assert {k for k, rules in settings().items() if not rules} == SHOWN_ONLY.keys() | CHOOSING


# The same from Snakemake, on stages that write a few bytes ----------------------------------------


@pytest.fixture(scope="module")
def stubbed(tmp_path_factory, fresh):
    folder = tmp_path_factory.mktemp("stub") / "caploc"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    shutil.copy(HERE / "stub_cli.py", folder / "workflow/caploc/cli.py")
    workflow = type(fresh)(folder)
    workflow.run()
    assert workflow.planned() == {}
    return workflow


def reasons(workflow, overlay):
    """Rules that rerun by the reason that a dry run prints."""
    test = yaml.safe_load((REPOSITORY / "config/test.yaml").read_text())
    for key, value in overlay.items():
        *parents, last = key.split(".")
        place = test
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    (workflow.folder / "overlay.yaml").write_text(yaml.safe_dump(test))
    text = workflow.run("--dry-run", config="overlay.yaml")
    found_rows = re.findall(
        r"^    ([a-z][^\n]*):\n        (\w[^\n]*)$", text.partition("\nReasons:")[2], flags=re.M
    )
    found = {reason: set(rules.split(", ")) - {"all"} for reason, rules in found_rows}
    return {reason: rules for reason, rules in found.items() if rules}


PARAMS = "params have changed since last execution"
FILES = "set of input files has changed since last execution"


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("overlay", "files"),
    [
        ({"masks.s3.sigma": 4.0}, set()),
        ({"run.splits": 7}, set()),
        ({"experiments.fidelity.rome.window": 1}, set()),
        ({"experiments.decoupling.draws": 3}, set()),
        ({"run.shuffled": False}, {
            "measure_agreement", "tabulate_samples", "tabulate_completeness",
        }),
        ({"run.mixture": False}, {"tabulate_agreement"}),
        ({"run.experiments": ["fidelity"]}, {"write_report"}),
        ({"experiments.fidelity.locators": ["kn", "rome"]}, {"tabulate_fidelity"}),
        ({"experiments.decoupling.families": ["remarks"]}, {"tabulate_decoupling"}),
        ({"experiments.enhancement.tasks": ["emotions"]}, {
            "tabulate_enhancement", "tabulate_cross_enhancement",
        }),
    ],
)  # fmt: skip
def test_snakemake_agrees(stubbed, overlay, files):
    found = reasons(stubbed, overlay)
    (key,) = overlay
    told_anew = settings()[key.replace(".s3.", ".*.")] | {"write_report"}
    # A rule that reruns for a new input too is printed under that reason alone.
    assert found.get(PARAMS, set()) <= told_anew <= set().union(*found.values())
    assert found.get(FILES, set()) == files


def test_the_run_of_the_matrix_uses_every_optional_setting():
    for kind in ("models", "tasks", "methods", "facts"):
        entries = checked()[kind].values()
        wanted = {key.split(".")[2] for key in leaves() if key.startswith(f"{kind}.*.")}
        assert wanted == {name for entry in entries for name in entry} & wanted
    assert len(CONFIG["run"]["models"]) == 4
