"""A run with other masks takes the model and the scores of the run before it."""

import pytest
import yaml

pytestmark = pytest.mark.workflow


def overlay(workflow, **run):
    config = yaml.safe_load((workflow.folder / "config/test.yaml").read_text())
    config["run"] |= run
    (workflow.folder / "second.yaml").write_text(yaml.safe_dump(config))
    return "second.yaml"


def test_another_run_takes_what_is_equal_and_gives_the_same(copy_of_finished):
    config = overlay(copy_of_finished, name="second", headline_mask="s6", reuse=["test"])
    text = copy_of_finished.run("tabulate_agreement", config=config)
    results = copy_of_finished.folder / "results"
    shards = sorted(p.relative_to(results / "second") for p in
                    (results / "second/attributions").rglob("*.parquet"))  # fmt: skip
    assert shards
    for path in (*shards, "models/tiny/manifest.json", "models/tiny/hf/model.safetensors"):
        assert (results / "second" / path).read_bytes() == (results / "test" / path).read_bytes()
    assert text.count("taken from results/test: same settings, code, inputs") > len(shards)
    assert "training: " not in text
    # Nothing reruns for having been taken, nor when the other run is no longer named.
    assert copy_of_finished.planned("tabulate_agreement", config=config) == {}
    config = overlay(copy_of_finished, name="second", headline_mask="s6")
    assert copy_of_finished.planned("tabulate_agreement", config=config) == {}


def test_a_run_that_does_not_exist_is_named(copy_of_finished):
    config = overlay(copy_of_finished, name="second", reuse=["tset"])
    found = copy_of_finished.call("-n", config=config)
    assert found.returncode != 0
    assert "run.reuse: no folder results/tset; name a run" in found.stdout + found.stderr
