"""Names with spaces, quotes and shell characters do no harm, in every place a user may choose."""

import json
import shutil

import pytest
import yaml
from workflow_copy import Workflow

from caploc.files import store

pytestmark = pytest.mark.workflow

NASTY = 'it\'s a "name"; $(touch pwned) `touch pwned` & {x} \\ é'


def test_a_folder_a_data_file_a_model_and_a_template_with_shell_characters(
    fresh, tmp_path, save_model
):
    folder = tmp_path / NASTY.replace("{x}", "x") / "caploc"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    workflow = type(fresh)(folder)
    data = tmp_path / f"{NASTY}.jsonl"
    rows = [{"q": f"a {n} $(touch pwned)", "a": "b; touch pwned"} for n in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = save_model(f"{NASTY} model")
    samples = {"locate": 20, "train": 10, "validation": 10, "test": 10}
    task = {
        "plugin": "generic", "files": str(data), "prompt": "Q'\"$(touch pwned)`: {q}\nA:",
        "answer": " {a}", "title": NASTY, "samples": samples,
    }  # fmt: skip
    overlay = {
        "run": {
            "name": "nasty", "title": NASTY, "models": ["m"], "tasks": ["t"], "pairs": [],
            "neutral": None,
        },
        "models": {"m": {"family": "llama", "path": str(model)}},
        "tasks": {"t": task},
    }  # fmt: skip
    (folder / "my 'config'.yaml").write_text(yaml.safe_dump(overlay, allow_unicode=True))
    workflow.run("samples", "models", config="my 'config'.yaml")
    results = folder / "results/nasty"
    rows = store.read_table(results / "samples/t/locate.parquet").to_pylist()
    assert rows[0]["prompt"].startswith("Q'\"$(touch pwned)`: a ")
    assert rows[0]["answer"] == " b; touch pwned"
    assert store.read_json(results / "models/m/manifest.json")["path"] == str(model)
    assert not [path for path in tmp_path.rglob("pwned*")]


def test_braces_are_one_line_in_the_folder_of_the_workflow_and_harmless_where_it_runs(
    fresh, tmp_path
):
    folder = tmp_path / "{x}"
    shutil.copytree(fresh.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    done = type(fresh)(folder).call("-n")
    assert done.returncode == 1
    assert f"caploc: {folder}: Snakemake takes braces" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    words = ["-s", str(fresh.folder / "Snakefile"), "results/test/samples/emotions/locate.parquet"]
    # The folder of the programs has braces, too: it stands in every command.
    Workflow(folder, folder / "programs {y}").programs.symlink_to(fresh.programs)
    library = str(fresh.folder / "workflow")
    Workflow(folder, folder / "programs {y}").run(*words, PYTHONPATH=library)
    assert (folder / "results/test/samples/emotions/locate.parquet").is_file()
