"""Another workflow takes this one as a module, with a prefix and settings of its own."""

import re
from pathlib import Path

import pytest
import yaml
from configs import merged, read_config
from workflow_copy import Workflow, copy_repository
from workflow_rules import read_rules

pytestmark = pytest.mark.workflow

SNAKEFILE = """
import caploc
import pandas  # which the Snakefile alone takes away


configfile: "mine.yaml"


module abilities:
    snakefile:
        caploc.snakefile()
    config:
        config["abilities"]
    prefix:
        "abilities"


use rule * from abilities as abilities_*


rule count:
    default_target: True
    input:
        "abilities/results/small/tables/neurons.csv",
    output:
        "count.txt",
    shell:
        "wc -l <{input} >{output}; echo {pandas.__name__}"
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Workflow:
    library = copy_repository(tmp_path_factory.mktemp("library") / "caploc").folder
    folder = tmp_path_factory.mktemp("other")
    (folder / "workflow").symlink_to(library / "workflow")
    settings = merged(read_config("config.yaml"), read_config("tests/workflow/small.yaml"))
    (folder / "mine.yaml").write_text(yaml.safe_dump({"abilities": settings, "mine": 1}))
    (folder / "Snakefile").write_text(SNAKEFILE)
    return Workflow(folder)


def test_rules_have_a_prefix(other):
    jobs = other.planned(config=None)
    assert jobs["count"] == jobs["abilities_tabulate_neurons"] == 1
    assert jobs["abilities_train_model"] == 1 and "abilities_write_report" not in jobs
    told = other.run("--dry-run", "abilities_write_report", config=None)
    outputs = re.findall(r"^    output: (\S+)", told, flags=re.M)
    assert outputs and all(path.startswith("abilities/results/small/") for path in outputs)


def test_tables_and_pages_are_marked_for_the_report():
    outputs = [path for rule in read_rules().values() for path in rule.output]
    shown = {path for path in outputs if path.endswith((".csv", ".html"))}
    assert len(shown) > 15
    assert {path for path in outputs if "report" in path.flags} == shown


def test_they_run(other, tmp_path):
    other.run(config=None)
    rows = (Path(other.folder) / "abilities/results/small/tables/neurons.csv").read_text()
    assert int((other.folder / "count.txt").read_text()) == rows.count("\n")
    assert "Nothing to be done" in other.run("--dry-run", config=None)
    told = other.run("--report", str(tmp_path / "report.html"), config=None)
    assert "Adding neurons.csv" in told and (tmp_path / "report.html").is_file()
