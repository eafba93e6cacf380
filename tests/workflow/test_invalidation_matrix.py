"""For every setting and every module: exactly the rules that rerun."""

import re
import shutil
from functools import cache
from pathlib import Path

import pytest
import yaml
from all_jobs import CONFIG, REPOSITORY, changed, checked, leaves, stages_of_modules, told

from caploc import plugins
from caploc.jobs.digests import _sources

HERE = Path(__file__).parent
LOADING = {
    "ablate_units",
    "attribute_shard",
    "cross_erase",
    "edit_facts",
    "enhance_task",
    "erase_neurons",
    "evaluate_base",
    "locate_facts",
    "locate_pairs",
    "recall_facts",
    "score_converged",
    "sum_keys",
    "validate_circuit",
    "validate_kn",
    "weigh_neurons",
}
EVERY = set(plugins.stages())


def table(part):
    """Rules by setting or module, from the text."""
    text = (HERE / "invalidation_table.txt").read_text().partition(f"== {part}\n")[2]
    text = re.sub(r"#.*", "", text.partition("\n== ")[0])
    found = {}
    for rules, keys in re.findall(r"^(\w[\w\s]*?):\n((?:    .*\n)+)", text, flags=re.M):
        named = set(rules.split())
        stages = named - {"none", "loading", "every"}
        stages |= (LOADING if "loading" in named else set()) | (
            EVERY if "every" in named else set()
        )
        assert stages <= EVERY, stages - EVERY
        for key in keys.split():
            assert key not in found, f"{key} stands twice in the table"
            found[key] = stages
    return found


SETTINGS, MODULES = table("settings"), table("modules")
# Consumed by no rule but the report, which prints every setting: each with the reason.
SHOWN_ONLY = {
    "run.name": "another folder: nothing there yet, so everything runs and nothing reruns",
    "run.title": "heading of the page",
    "run.reuse.[]": "where equal files may be copied from: no result depends on it",
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
    "experiments.decoupling.families", "experiments.known_answer.quick.plants",
    "experiments.known_answer.quick.seeds", "experiments.known_answer.full.plants",
    "experiments.known_answer.full.seeds", "experiments.known_answer.tried.plants",
    "experiments.known_answer.tried.seeds",
}  # fmt: skip


@cache
def before():
    return told(checked())


def test_every_setting_of_the_schema_stands_in_the_table():
    assert set(leaves()) == SETTINGS.keys()


def test_a_setting_that_no_rule_consumes_is_named_with_the_reason():
    assert {key for key, rules in SETTINGS.items() if not rules} == SHOWN_ONLY.keys() | CHOOSING


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_a_setting_reruns_exactly_its_rules(key):
    after = told(changed(key))
    rerun = {job[0] for job, text in after.items() if before().get(job) != text}
    assert rerun - {"write_report"} == SETTINGS[key]
    assert "write_report" in rerun


def test_every_module_reruns_exactly_its_rules(monkeypatch):
    found = {
        name.removeprefix("caploc."): rules
        for name, rules in stages_of_modules(monkeypatch).items()
    }
    own = {f"stages.{rule}": {rule} for rule in EVERY}
    wanted = own | MODULES
    for name in sorted(_sources()):
        short = name.removeprefix("caploc.")
        assert short in wanted, f"{short}: write into the table which rules run it"
        assert found.get(short, set()) == wanted[short], short
    assert wanted.keys() == {name.removeprefix("caploc.") for name in _sources()}


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
    rows = re.findall(
        r"^    ([a-z][^\n]*):\n        (\w[^\n]*)$", text.partition("\nReasons:")[2], flags=re.M
    )
    found = {reason: set(rules.split(", ")) - {"all"} for reason, rules in rows}
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
    told_anew = SETTINGS[key.replace(".s3.", ".*.")] | {"write_report"}
    # A rule that reruns for a new input too is printed under that reason alone.
    assert found.get(PARAMS, set()) <= told_anew <= set().union(*found.values())
    assert found.get(FILES, set()) == files


def test_the_run_of_the_matrix_uses_every_optional_setting():
    for kind in ("models", "tasks", "methods", "facts"):
        entries = checked()[kind].values()
        wanted = {key.split(".")[2] for key in leaves() if key.startswith(f"{kind}.*.")}
        assert wanted == {name for entry in entries for name in entry} & wanted
    assert len(CONFIG["run"]["models"]) == 3
