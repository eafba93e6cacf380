"""What reruns after a change, and what does not."""

import pytest

pytestmark = pytest.mark.workflow

AFTER_MASKS = {
    "measure_agreement", "measure_overlap", "tabulate_agreement", "tabulate_neurons",
    "measure_fidelity", "tabulate_fidelity", "erase_neurons", "tabulate_erasure",
    "tabulate_examples", "write_report",
}  # fmt: skip


def test_a_new_sigma_runs_masks_and_later_only(copy_of_finished):
    overlay = copy_of_finished.folder / "config/test.yaml"
    text = overlay.read_text().replace("masks: [s3, s6]", "masks: [s3, s6, s9]")
    overlay.write_text(text + "\nmasks:\n  s9: {sigma: 9.0}\n")
    planned = copy_of_finished.planned()
    assert set(planned) == {"build_mask", *AFTER_MASKS}
    assert planned["build_mask"] == 3
    assert planned["measure_agreement"] == 5
    assert planned["measure_overlap"] == 1


def test_a_comment_and_a_docstring_run_nothing(copy_of_finished):
    for name in (
        "measures/masks.py",
        "attribution/engine.py",
        "tasks/emotions.py",
        "files/store.py",
    ):
        path = copy_of_finished.folder / "workflow/caploc" / name
        lines = path.read_text().split("\n")
        path.write_text(
            "\n".join([*lines, "# an afterthought", ""]).replace('"""', '"""Really. ', 1)
        )
    assert copy_of_finished.planned() == {}


def test_an_edit_of_the_mask_rule_keeps_attributions(copy_of_finished):
    copy_of_finished.edit("workflow/caploc/measures/masks.py", "\ndef ", "\n_ADDED = 1\n\n\ndef ")
    planned = copy_of_finished.planned()
    assert planned["build_mask"] == 6
    assert not {"train_model", "prepare_samples", "attribute_shard", "aggregate_scores"} & set(
        planned
    )


def test_an_edit_of_the_engine_keeps_the_model_and_the_samples(copy_of_finished):
    copy_of_finished.edit(
        "workflow/caploc/attribution/engine.py", "\ndef ", "\n_ADDED = 1\n\n\ndef "
    )
    planned = copy_of_finished.planned()
    assert planned["attribute_shard"] == 9
    assert not {"train_model", "prepare_samples", "evaluate_base"} & set(planned)


def test_an_edit_of_one_task_reruns_that_task_only(copy_of_finished):
    # a task that the model was not trained on: training text depends on its tasks' code
    _drop_from_training(copy_of_finished, "emotions")
    copy_of_finished.run()
    copy_of_finished.edit("workflow/caploc/tasks/emotions.py", "\nTASK", "\n_ADDED = 1\nTASK")
    planned = copy_of_finished.planned()
    assert "train_model" not in planned
    assert planned["prepare_samples"] == 1
    assert planned["evaluate_base"] == 1
    assert planned["attribute_shard"] == 2  # and the shuffled reference


def test_a_new_plugin_file_runs_nothing(copy_of_finished):
    folder = copy_of_finished.folder / "workflow/caploc"
    for kind in ("tasks", "models", "locators"):
        (folder / kind / "newcomer.py").write_text('"""Nobody uses this."""\n')
    assert copy_of_finished.planned() == {}


def test_a_setting_of_one_locator_reruns_that_locator_only(copy_of_finished):
    overlay = copy_of_finished.folder / "config/test.yaml"
    overlay.write_text(
        overlay.read_text().replace("    n_draws: 2", "    n_draws: 2\n    kn: {steps: 7}")
    )
    assert copy_of_finished.planned() == {
        "locate_facts": 1, "measure_fidelity": 1, "tabulate_fidelity": 1, "validate_kn": 1,
        "ablate_units": 1, "measure_ablation": 1, "measure_reliability": 1,
        "tabulate_reliability": 1, "write_report": 1,
    }  # fmt: skip


def test_a_title_reruns_the_report_only(copy_of_finished):
    copy_of_finished.edit("config/test.yaml", "title: Test run", "title: Another name")
    assert copy_of_finished.planned() == {"write_report": 1}


def _drop_from_training(workflow, plugin):
    workflow.edit("config/test.yaml", f"{plugin}: 1, ", "")
