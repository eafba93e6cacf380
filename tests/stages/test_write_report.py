"""The stage as the workflow calls it: files in, one file out."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from xml.etree import ElementTree

import pytest

from caploc import cli
from caploc.files import store
from caploc.jobs.job import Job
from caploc.records import DataError
from caploc.stages import write_report

_EXAMPLE = Path(__file__).parents[1] / "report" / "example_run.py"


@pytest.fixture
def job(tmp_path) -> Job:
    """The invented run of the tests of the report."""
    found = spec_from_file_location("example_run_of_the_report", _EXAMPLE)
    assert found and found.loader
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module.write_run(tmp_path)


def test_the_command_line_writes_the_page(job, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["caploc"])
    arguments = ["write_report", "--spec", json.dumps(job.spec), "--code", "c"]
    for name, paths in job.inputs.items():
        arguments += ["--input", f"{name}={paths[0]}", *map(str, paths[1:])]
    for name, path in job.outputs.items():
        arguments += ["--output", f"{name}={path}"]
    assert cli.main(arguments) == 0
    text = job.outputs["report"].read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    hidden = [path.name for path in job.outputs["report"].parent.glob(".*")]
    assert hidden == [".report.html.receipt"]


def test_same_inputs_same_bytes_in_any_folder(job, tmp_path):
    write_report.run(job)
    first = job.outputs["report"].read_bytes()
    write_report.run(job)
    assert job.outputs["report"].read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_a_model_that_was_not_trained_here_has_no_curve(job):
    job.inputs["losses"] = []
    write_report.run(job)
    assert "Training loss" not in job.outputs["report"].read_text(encoding="utf-8")


def test_a_damaged_table_is_named_and_leaves_no_page(job):
    path = job.input("agreement")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"agreement\.parquet: damaged or truncated"):
        write_report.run(job)
    assert not job.outputs["report"].exists()


def test_a_table_without_a_column_is_named(job):
    table = store.read_table(job.input("base")).drop_columns(["ci_low"])
    store.write_table(table, job.input("base"), {"origin": {}})
    with pytest.raises(DataError, match=r"base\.parquet: column 'ci_low' is missing"):
        write_report.run(job)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("models", {"model": "tiny"}, r"manifest\.json: key 'n_layers' is missing"),
        ("splits", {}, r"disjoint\.json: key 'pairs' is missing"),
    ],
)
def test_an_incomplete_json_file_is_named(job, name, content, message):
    store.write_json(content, job.inputs[name][0])
    with pytest.raises(DataError, match=message):
        write_report.run(job)


def test_every_figure_is_also_a_file_that_opens_by_itself(job):
    stale = job.outputs["figures"].parent / "v0-0-map-9.svg"
    stale.parent.mkdir(parents=True)
    stale.touch()
    write_report.run(job)
    files = store.read_json(job.outputs["figures"])["files"]
    folder = job.outputs["figures"].parent
    assert sorted(files) == sorted(path.name for path in folder.glob("*.svg"))
    assert files.keys() >= {"v0-0-agreement.svg", "m0-loss.svg", "v0-0-map-0.svg"}
    page = job.outputs["report"].read_text(encoding="utf-8")
    assert len(files) == page.count('<svg class="chart"')
    for name in files:
        root = ElementTree.parse(folder / name).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        bottom = max(
            float(e.attrib["y"]) for e in root.iter("{http://www.w3.org/2000/svg}text")
            if "y" in e.attrib
        ) if "map" in name or "agreement" in name else 0.0  # fmt: skip
        assert bottom < float(root.attrib["height"])
    legend = (folder / "v0-0-map-0.svg").read_text(encoding="utf-8")
    assert "shared with one other" in legend
    assert "layer 0, neuron 3: score 0.01, +7.5 standard deviations from the mean; also" in legend
