"""`caploc verify` on a run that Snakemake made, and a lost folder `.snakemake`."""

import os
import shutil
import subprocess

import pytest
from warm import programs

pytestmark = pytest.mark.workflow


def verify(workflow):
    """Status and text of `caploc verify` in a copy of the workflow."""
    done = subprocess.run(
        [programs() / "bin/caploc", "verify", "--configfile", "config/test.yaml"],
        cwd=workflow.folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(workflow.folder / "workflow")},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_finished_run_is_right(finished):
    status, text = verify(finished)
    assert (status, text.count("\n")) == (0, 1), text
    n, _, total = text.split(" files")[0].partition(" of ")
    assert n == total and int(n) > 60
    assert text.endswith("files are right, 0 are not there yet\n")


def test_an_archive_that_cannot_be_written_is_checked_too(copy_of_finished):
    """Snakemake cannot make its folder there, as on a file system mounted for reading."""
    folder = copy_of_finished.folder
    shutil.rmtree(folder / ".snakemake")
    (folder / ".snakemake").write_text("")
    status, text = verify(copy_of_finished)
    assert status == 0 and text.endswith("files are right, 0 are not there yet\n"), text
    assert (folder / ".snakemake").read_text() == ""
    (folder / "results/test/tables/base.csv").write_text("x")
    status, text = verify(copy_of_finished)
    assert status == 1 and "damaged   results/test/tables/base.csv" in text


def test_without_snakemakes_records_changes_are_still_found_and_mended(copy_of_finished):
    workflow = copy_of_finished
    shutil.rmtree(workflow.folder / ".snakemake")
    workflow.edit("config/test.yaml", "title: Test run", "title: Another name")
    workflow.edit("workflow/caploc/stages/tabulate_base.py", "\ndef ", "\n_ADDED = 1\n\n\ndef ")
    assert workflow.planned() == {}  # Snakemake alone has lost its memory
    page = workflow.folder / "results/test/report.html"
    table = workflow.folder / "results/test/tables/neurons.csv"
    table.write_text(table.read_text().replace("0", "1", 1))
    status, text = verify(workflow)
    assert status == 1
    assert "stale     results/test/report.html: settings have changed: config.run.title" in text
    assert "stale     results/test/tables/base.csv: the code of tabulate_base has changed" in text
    assert "damaged   results/test/tables/neurons.csv: its content is not what" in text
    (line,) = [line for line in text.splitlines() if line.startswith("make anew: ")]
    words = line.removeprefix("make anew: ").split()
    assert words[:4] == ["snakemake", "--cores", "all", "--configfile"]
    workflow.run(*words[words.index("--forcerun") :])
    assert "Another name" in page.read_text()
    assert verify(workflow)[0] == 0


def test_a_wrong_configuration_is_one_line(fresh, tmp_path):
    (fresh.folder / "wrong.yaml").write_text("run: {sead: 1}")
    done = subprocess.run(
        [programs() / "bin/caploc", "verify", "--configfile", "wrong.yaml"],
        cwd=fresh.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "caploc verify: error: snakemake cannot plan this run" in done.stderr
    assert "unknown key 'sead'" in done.stderr
