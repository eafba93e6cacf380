"""The estimate of a run: every job of it, and what the settings do."""

import copy
import json
from pathlib import Path

import pytest
from configs import embedded, merged, read_config

from caploc.config import check
from caploc.estimate.devices import DEVICES, device_named
from caploc.estimate.passes import of_plan
from caploc.estimate.whole import levers, measured, stages
from caploc.jobs.run import Run
from caploc.records import DataError

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests/workflow/golden"
NAMES = sorted(
    path.stem
    for path in GOLDEN.glob("*.txt")
    if (REPOSITORY / f"config/{path.stem}.yaml").is_file()
)


def plan_of(name: str, **run) -> Run:
    """Of a file of config/, laid over config.yaml; `full` is laid over `embedded`."""
    config = embedded() if name == "full" else read_config("config.yaml")
    return Run(check(merged(merged(config, read_config(f"config/{name}.yaml")), {"run": run})))


def printed(plan: Run) -> Run:
    """The same with the rule of the paper, whose points are settings."""
    config = copy.deepcopy(plan.config)
    config["methods"]["cnl"] |= {"rule": "inclusive", "steps": 19}
    return Run(config)


def adaptive_run(name: str) -> Run:
    config = copy.deepcopy(plan_of(name).config)
    config["methods"]["cnl"] |= {"rule": "adaptive", "steps": 64, "tolerance": 0.01}
    return Run(config)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No results of earlier runs."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_jobs_are_those_that_snakemake_plans(name):
    lines = (GOLDEN / f"{name}.txt").read_text().splitlines()
    golden = {rule: int(n) for rule, _, n in (x.partition(" ") for x in lines) if n.isdigit()}
    del golden["all"], golden["total"]
    assert {stage.name: stage.jobs for stage in stages(plan_of(name))} == golden


@pytest.mark.parametrize("name", [*NAMES, "test", "full"])
def test_every_number_is_usable(name):
    for stage in stages(plan_of(name)):
        for device in DEVICES.values():
            assert 0 < stage.seconds(device) < 1e9, stage
        assert stage.host > 0 and stage.disk >= 0 and stage.scratch >= 0


def test_time_goes_with_what_is_asked_for():
    """Twice the samples of an erasure cost twice the operations; half the path, about half."""
    plan = printed(plan_of("llama2-7b"))
    h100 = device_named("h100")
    before = {s.name: s for s in stages(plan)}
    config = copy.deepcopy(plan.config)
    config["methods"]["cnl"]["steps"] = 9
    config["experiments"]["cross_erasure"]["samples"] = 200
    after = {s.name: s for s in stages(Run(config))}
    ratio = after["attribute_shard"].work.operations / before["attribute_shard"].work.operations
    assert 0.45 < ratio < 0.55
    ratio = after["cross_erase"].work.operations / before["cross_erase"].work.operations
    assert ratio == pytest.approx(2, rel=0.01)
    assert after["enhance_task"] == before["enhance_task"]
    assert before["enhance_task"].seconds(h100) < before["enhance_task"].seconds(DEVICES["l40s"])


def test_sets_that_are_not_asked_for_cost_nothing():
    plan = plan_of("llama2-7b")
    config = copy.deepcopy(plan.config)
    config["experiments"]["cross_erasure"]["sets"] = ["equal"]
    one, both = (
        next(s for s in stages(p) if s.name == "cross_erase").work.operations
        for p in (Run(config), plan)
    )
    # The whole model, and each of five tasks with 99 random sets.
    assert one / both == pytest.approx((1 + 5 * 100) / (1 + 2 * 5 * 100))


def share_left(plan: Run, **settings) -> float:
    """Of the time of scoring, with other settings of the method."""
    config, device = copy.deepcopy(plan.config), device_named("h100")
    config["methods"]["cnl"] |= settings
    before, after = (
        next(s for s in stages(p) if s.name == "attribute_shard").seconds(device)
        for p in (plan, Run(config))
    )
    return after / before


def test_levers_name_settings_that_halve_the_stage():
    plan, device = printed(plan_of("llama2-13b")), device_named("h100")
    found = levers(plan, "attribute_shard", device)
    assert "methods.cnl.steps" in [lever[0] for lever in found]
    _, old, new, left = next(x for x in found if x[0] == "methods.cnl.steps")
    assert (old, new) == (19, 9) and 0.45 < left < 0.6
    # What the lever promises is what the changed configuration gives.
    assert share_left(plan, steps=9) == pytest.approx(left)


def test_the_lever_of_an_adaptive_path_is_its_tolerance():
    """Half of its cap is still above what is expected; layer 0 alone has points to spare."""
    plan, device = plan_of("llama2-13b"), device_named("h100")
    assert plan.config["methods"]["cnl"]["rule"] == "adaptive"
    found = {key: rest for key, *rest in levers(plan, "attribute_shard", device, most=99)}
    assert "methods.cnl.steps" not in found
    old, new, left = found["methods.cnl.tolerance"]
    assert (old, new) == (0.01, 0.1) and 0.85 < left < 0.95
    assert share_left(plan, tolerance=0.1) == pytest.approx(left)
    # In a model of four layers, layer 0 is most of the path.
    small = levers(adaptive_run("embedded"), "attribute_shard", device_named("cpu"), most=99)
    assert next(x[3] for x in small if x[0] == "methods.cnl.tolerance") < left


def test_points_of_an_adaptive_path_as_they_were_counted():
    """benchmarks/adaptive.py: operations as a share of 19 fixed intervals, mean of three tasks."""
    tasks = json.loads((REPOSITORY / "benchmarks/results/adaptive.json").read_text())["tasks"]
    (run,) = of_plan(plan_of("embedded"))
    lengths, method = run.lengths["word-problems"], run.config["methods"]["cnl"]
    fixed = run.attribute(lengths, 1, method).operations
    for tolerance in (0.01, 0.001, 0.0001):
        rows = [
            row
            for task in tasks.values()
            for row in task["curve"]
            if (row["rule"], row["steps"], row["tolerance"]) == ("adaptive", 64, tolerance)
        ]
        counted = sum(row["operations_share"] for row in rows) / len(rows)
        changed = method | {"rule": "adaptive", "steps": 64, "tolerance": tolerance}
        planned = run.attribute(lengths, 1, changed).operations / fixed
        assert planned == pytest.approx(counted, rel=0.25), tolerance


def test_a_run_that_was_made_says_what_it_took(tmp_path):
    plan = plan_of("test")
    folder = plan.root / "timings/train_model"
    folder.mkdir(parents=True)
    (folder / "tiny.jsonl").write_text('{"s": 3.0}\n{"s": 7.5}\n')
    settings = plan.root / "config.json"
    for text, expected in ((plan.shown() + "\n", 7.5), ("{}", None)):
        settings.write_text(text)
        found = {stage.name: stage for stage in measured(plan, stages(plan))}
        assert found["train_model"].measured == expected
        assert found["erase_neurons"].measured is None
    assert measured(plan, stages(plan)) == stages(plan)


def test_two_models_are_added_up():
    one, three = plan_of("full", models=["embedded"]), plan_of("full")
    count = [{s.name: s.jobs for s in stages(plan)} for plan in (one, three)]
    assert count[1]["train_model"] == 3 * count[0]["train_model"] == 3
    assert count[1]["attribute_shard"] == 3 * count[0]["attribute_shard"]
    assert count[1]["prepare_samples"] == count[0]["prepare_samples"]


def test_lengths_of_the_config_count():
    plan = plan_of("llama2-7b")
    config = copy.deepcopy(plan.config)
    config["tasks"]["gsm8k"]["tokens"] = {"prompt": 200, "answer": 3}
    (run,) = of_plan(Run(config))
    assert (run.lengths["gsm8k"].prompt, run.lengths["gsm8k"].source) == (200, "config")
    assert run.lengths["imdb"].source == "typical"


def test_a_budget_of_memory_bounds_scoring():
    plan = plan_of("llama2-7b")
    config = copy.deepcopy(plan.config)
    config["models"]["llama2-7b"]["memory_mib"] = 1024
    bounded, free = (
        next(s for s in stages(p) if s.name == "attribute_shard") for p in (Run(config), plan)
    )
    (run,) = of_plan(plan)
    assert bounded.accelerator == run.weights + 2**30 < free.accelerator
    assert bounded.work.operations == free.work.operations


def test_a_model_without_a_shape():
    plan = plan_of("llama2-7b")
    del plan.config["models"]["llama2-7b"]["shape"]
    with pytest.raises(DataError, match=r"models\.llama2-7b: its size is not known.*add shape: "):
        stages(plan)


def test_unknown_devices_are_answered_with_those_there_are():
    with pytest.raises(DataError, match=r"no rate is known; known: cpu, a100-40, .*h100.*--flops"):
        device_named("tpu")
    with pytest.raises(DataError, match="--flops -1: expected operations in a second"):
        device_named("h100", -1)


def test_no_gpu_pretends_to_be_measured():
    for device in DEVICES.values():
        measured = device.source.startswith("measured")
        assert measured == (device.name == "cpu"), device.name
    assert device_named("h100", 3e14).source == "--flops"


def test_the_recorded_comparison_is_within_the_bounds():
    """benchmarks/plan.py, last run: 1.5 for time, 1.2 for memory and disk."""
    runs = json.loads((REPOSITORY / "benchmarks/results/plan.json").read_text())["runs"]
    assert len(runs) == 3
    for name, run in runs.items():
        assert 1 / 1.5 <= run["time_ratio"] <= 1.5, name
        assert 1 / 1.2 <= run["memory_ratio"] <= 1.2, name
        assert 1 / 1.2 <= run.get("disk_ratio", 1) <= 1.2, name


def test_a_cap_on_scored_answer_tokens_counts():
    (run,) = of_plan(plan_of("llama2-7b"))
    lengths, method = run.lengths["gsm8k"], run.config["methods"]["cnl"]
    whole, capped = (
        run.attribute(lengths, 1, method | {"max_answer_tokens": cap}).operations
        for cap in (None, lengths.answer / 4)
    )
    assert 0.25 < capped / whole < 0.3
