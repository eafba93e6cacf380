"""Each job is told exactly what it consumes."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from configs import embedded

from caploc.config import check
from caploc.jobs.run import Run, jobs_of
from caploc.records import DataError

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = embedded()
JOBS = {
    "train_model": {"model": "embedded"},
    "prepare_samples": {"task": "emotions"},
    "shuffle_answers": {"task": "emotions"},
    "check_splits": {},
    "evaluate_base": {"model": "embedded", "task": "emotions"},
    "attribute_shard": {
        "model": "embedded", "task": "emotions", "method": "cnl", "shard": "0000",
    },
    "score_converged": {"model": "embedded", "method": "cnl"},
    "aggregate_scores": {"model": "embedded", "task": "emotions", "method": "cnl"},
    "aggregate_mixture": {"model": "embedded", "method": "cnl"},
    "build_mask": {"model": "embedded", "task": "emotions", "method": "cnl", "mask": "s6"},
    "measure_agreement": {"model": "embedded", "task": "emotions", "method": "cnl", "mask": "s6"},
    "measure_overlap": {"model": "embedded", "method": "cnl", "mask": "s6"},
    "enhance_task": {"model": "embedded", "task": "emotions", "method": "cnl"},
    "tabulate_enhancement": {},
    "tabulate_cross_enhancement": {},
    "prepare_facts": {"facts": "invented"},
    "recall_facts": {"model": "embedded", "facts": "invented"},
    "locate_facts": {
        "model": "embedded", "facts": "invented", "locator": "rome", "shard": "0000",
    },
    "measure_fidelity": {"model": "embedded", "facts": "invented", "locator": "rome"},
    "measure_kn_on_tasks": {"model": "embedded"},
    "tabulate_tracing": {},
    "weigh_neurons": {"model": "embedded"},
    "erase_neurons": {"model": "embedded", "task": "emotions", "method": "cnl"},
    "tabulate_erasure": {},
    "tabulate_examples": {},
    "cross_erase": {"model": "embedded", "task": "emotions", "method": "cnl"},
    "tabulate_cross_erasure": {},
    "tabulate_cross_overlap": {},
    "sum_keys": {"model": "embedded"},
    "validate_kn": {"model": "embedded", "facts": "invented"},
    "validate_circuit": {"model": "embedded", "facts": "invented"},
    "edit_facts": {"model": "embedded", "facts": "invented"},
    "measure_reliability": {"model": "embedded", "facts": "invented"},
    "ablate_units": {"model": "embedded", "facts": "invented", "shard": "0000"},
    "measure_ablation": {"model": "embedded", "facts": "invented"},
    "prepare_pairs": {"pairs": "remarks"},
    "locate_pairs": {"model": "embedded", "pairs": "remarks", "shard": "0000"},
    "measure_decoupling": {"model": "embedded", "pairs": "remarks"},
    "plant_model": {"plant": "two-percent", "seed": "0"},
    "check_plant": {"plant": "two-percent", "seed": "0"},
    "measure_effects": {"plant": "two-percent", "seed": "0", "task": "emotions"},
    "score_plant": {"plant": "two-percent", "seed": "0", "task": "emotions"},
    "rank_plant": {"plant": "two-percent", "seed": "0", "task": "emotions"},
    "check_null": {"plant": "two-percent", "seed": "0", "task": "emotions"},
    "tabulate_known_answer": {"extent": "known_answer"},
    "write_known_answer": {"extent": "known_answer"},
    "join_parts": {"table": "fidelity"},
    "write_report": {},
}  # fmt: skip

ERASED = ("tabulate_erasure", "tabulate_cross_erasure", "tabulate_cross_overlap")


def plan(**changes):
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = config
        for key in parents:
            place = place[key.replace("_", "-") if key.replace("_", "-") in place else key]
        place[last] = value
    return Run(check(config))


def specs(chosen):
    return {stage: chosen.spec(stage, **wildcards) for stage, wildcards in JOBS.items()}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"run__seed": 7}, {
            "weigh_neurons",
            "train_model", "prepare_samples", "shuffle_answers", "attribute_shard",
            "score_converged",
            "aggregate_scores", "aggregate_mixture", "prepare_facts", "recall_facts",
            "locate_facts", "measure_fidelity", "measure_kn_on_tasks", "prepare_pairs",
            "locate_pairs", "measure_decoupling", "validate_kn", "validate_circuit", "edit_facts",
            "measure_reliability", "ablate_units", "measure_ablation",
            "enhance_task", "tabulate_enhancement", "tabulate_cross_enhancement",
            "tabulate_tracing", "erase_neurons", "cross_erase", *ERASED,
        }),
        ({"run__splits": 7}, {"aggregate_scores", "aggregate_mixture"}),
        ({"run__shard_size": 50}, {"attribute_shard"}),
        ({"run__minimum_samples": 30}, {
            "aggregate_scores", "aggregate_mixture", "enhance_task", "tabulate_erasure",
            "tabulate_cross_erasure",
        }),
        ({"masks__s6__sigma": 5.0}, {
            "build_mask", "measure_agreement", "measure_overlap", "tabulate_enhancement", *ERASED,
        }),
        ({"masks__s3__sigma": 4.0}, {"tabulate_enhancement", "tabulate_erasure"}),
        ({"methods__cnl__steps": 9}, {"attribute_shard", "score_converged"}),
        ({"run__converged_samples": 9}, {"score_converged"}),
        ({"tasks__emotions__title": "Feelings"}, set()),
        ({"tasks__emotions__samples": {"locate": 30}}, {"prepare_samples"}),
        ({"tasks__reviews__samples": {"locate": 30}}, set()),
        ({"models__embedded__train__steps": 5}, {"train_model"}),
        ({"models__embedded__dtype": "bfloat16"}, {
            "evaluate_base", "attribute_shard", "recall_facts", "locate_facts", "score_converged",
            "weigh_neurons", "erase_neurons", "cross_erase", "enhance_task", "locate_pairs",
            "sum_keys", "validate_kn", "validate_circuit", "edit_facts", "ablate_units",
        }),
        ({"experiments__erasure__dose": [0.01, 0.1]}, {"erase_neurons"}),
        ({"experiments__erasure__weighing_samples": 9}, {"weigh_neurons"}),
        ({"experiments__cross_erasure__draws": 9}, {"cross_erase"}),
        ({"tasks__emotions__capability": "feeling"}, {
            "tabulate_cross_erasure", "tabulate_cross_overlap", "tabulate_cross_enhancement",
        }),
        ({"experiments__fidelity__rome__window": 3}, {"locate_facts"}),
        ({"experiments__fidelity__circuit": {"steps": 3}}, set()),
        ({"experiments__fidelity__n_draws": 3}, {"measure_fidelity", "measure_kn_on_tasks"}),
        ({"experiments__reliability__shared__budgets": [0.5]}, {"ablate_units"}),
        ({"experiments__reliability__shared__draws": 7}, {"ablate_units", "measure_ablation"}),
        ({"experiments__reliability__draws": 7}, {"validate_kn", "validate_circuit"}),
        ({"experiments__reliability__rome__steps": 7}, {"edit_facts"}),
        ({"experiments__reliability__rome__layer": 2}, {"measure_reliability"}),
        ({"experiments__reliability__rome__texts": 7}, {"sum_keys"}),
        ({"experiments__decoupling__pairs": 7}, {"prepare_pairs"}),
        ({"experiments__decoupling__draws": 7}, {"measure_decoupling"}),
        ({"experiments__decoupling__kn": {"ratio": 0.3}}, {"locate_pairs", "measure_decoupling"}),
        ({"facts__invented__n": 40}, {"prepare_facts"}),
        ({"run__headline_mask": "s3"}, {
            "erase_neurons", "cross_erase", "enhance_task", "tabulate_examples", *ERASED,
        }),
    ],
)  # fmt: skip
def test_a_setting_reaches_exactly_the_stages_that_consume_it(change, stages):
    before, after = specs(plan()), specs(plan(**change))
    changed = {stage for stage in JOBS if before[stage] != after[stage]}
    assert changed == stages | {"write_report"}  # the report prints all settings


def test_a_model_may_have_a_seed_of_its_own():
    chosen, other = plan(), plan(models__embedded__train__seed=3)
    assert json.loads(chosen.spec("train_model", model="embedded"))["seed"] == 0
    assert json.loads(other.spec("train_model", model="embedded"))["seed"] == 3
    differing = {s for s in JOBS if specs(chosen)[s] != specs(other)[s]}
    assert differing == {"train_model", "write_report"}


def test_specs_do_not_depend_on_the_order_of_keys():
    def reverse(value):
        if isinstance(value, dict):
            return {key: reverse(value[key]) for key in reversed(value)}
        return value

    assert specs(Run(check(reverse(CONFIG)))) == specs(plan())


def test_code_covers_the_plugins_of_the_job_and_no_others():
    def modules_changed_with(stage, **wildcards):
        return plan().code(stage, **wildcards)

    emotions = modules_changed_with("prepare_samples", task="emotions")
    reviews = modules_changed_with("prepare_samples", task="reviews")
    assert emotions != reviews


def test_an_edit_of_the_page_template_changes_the_code_of_the_report(monkeypatch, tmp_path):
    import caploc.jobs.digests

    before = plan().code("write_report")
    digest = caploc.jobs.digests.file_digest
    monkeypatch.setattr(
        caploc.jobs.digests, "file_digest", lambda p: "other" if p.suffix == ".css" else digest(p)
    )
    assert plan().code("write_report") != before


def test_every_spec_is_json_and_every_stage_exists():
    chosen = plan()
    for stage, wildcards in JOBS.items():
        assert isinstance(json.loads(chosen.spec(stage, **wildcards)), dict)
        assert len(chosen.code(stage, **wildcards)) == 16


def test_files_of_a_run_are_counted():
    chosen = plan(run__shard_size=150)
    assert chosen.n_shards("emotions") == chosen.n_shards("emotions.shuffled") == 3
    assert len(chosen.all_shards()) == 17 * 3
    assert len(chosen.all_masks()) == 24
    assert len(chosen.all_agreement()) == 3 * (8 + 2) + 3


def test_references_can_be_left_out():
    chosen = plan(run__shuffled=False, run__mixture=False, run__neutral=None)
    assert chosen.scored == CONFIG["run"]["tasks"]
    assert len(chosen.all_agreement()) == 3 * 8 + 3
    assert "shuffled" not in chosen.agreement_inputs("embedded", "emotions", "cnl", "s6")


def test_parsing_imports_neither_torch_nor_polars():
    """Every call of Snakemake, dry runs included, pays for what the rules' shared part imports."""
    text = (REPOSITORY / "workflow/rules/common.smk").read_text()
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    use = (
        "import yaml; config = yaml.safe_load(open('config.yaml'))\n"
        "plan, _ = checked_run(config)\n"
        "plan.code('attribute_shard', model='embedded', task='reviews', method='cnl')\n"
        "print(sorted({'torch', 'polars', 'transformers', 'pyarrow'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", "\n".join([*imports, use])],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "older"),
    [(None, False), ("{}", True), ('{"layout": 3}', False), ("[", False), ('{"layout": 2}', True)],
)
def test_a_folder_of_an_older_layout_is_told_in_one_line(tmp_path, monkeypatch, text, older):
    monkeypatch.chdir(tmp_path)
    run = plan()
    if text is not None:
        run.root.mkdir(parents=True)
        (run.root / "config.json").write_text(text)
    line = run.older_layout()
    assert bool(line) == older and "\n" not in line
    if older:
        assert line.startswith(f"{run.root} was made by an older version of caploc")


def test_an_edited_file_changes_the_settings_of_who_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(CONFIG)
    config["tasks"]["mine"] = {"plugin": "generic", "files": {"train": "a.jsonl", "test": ["b"]},
                               "format": "jsonl", "prompt": "{q}", "answer": "{a}"}  # fmt: skip
    config["facts"] = {**config.get("facts", {}), "own": {"plugin": "lre", "files": "facts"}}
    config["models"]["local"] = {"family": "llama", "path": "model"}
    config["run"] |= {"tasks": [*config["run"]["tasks"], "mine"], "models": ["local"]}
    for name in ("a.jsonl", "b", "facts/deep/x.json", "model/config.json", "model/w.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    own = {
        "a.jsonl": ("prepare_samples", {"task": "mine"}),
        "b": ("prepare_samples", {"task": "mine"}),
        "facts/deep/x.json": ("prepare_facts", {"facts": "own"}),
        "model/w.safetensors": ("fetch_model", {"model": "local"}),
    }

    def told():
        run = Run(check(config))
        run.check_files()
        return {name: run.spec(stage, **wildcards) for name, (stage, wildcards) in own.items()}

    before = told()
    for name, (stage, _) in own.items():
        os.utime(tmp_path / name, (1, 1))
        assert told() == before, "another time is no other content"
        (tmp_path / name).write_text('{"more": 1}')
        after = told()
        changed = {n for n in own if after[n] != before[n]}
        assert changed == {n for n in own if own[n][0] == stage}
        before = after
    (tmp_path / "b").unlink()
    with pytest.raises(DataError, match=r"config tasks\.mine\.files: b: no such file or folder"):
        Run(check(config)).check_files()


@pytest.mark.parametrize("stage", ["write_report", "write_known_answer"])
def test_words_of_a_page_count_as_code(stage):
    """Tables are declared in templates, so a page is written anew after their edit."""
    files = {path.name: path for path in jobs_of(stage).FILES[stage]}
    assert {"page.html.jinja", "frame.html.jinja", "page.css"} <= set(files)
    assert all(path.is_file() for path in files.values())


def test_a_mask_against_others_reads_the_tasks_that_do_not_share_the_capability():
    pair = {"name": "p", "a": "emotions", "b": "reviews", "shares": "capability"}
    chosen = plan(run__pairs=[pair], masks__s6={"sigma": 6.0, "against": "others"})
    tasks = CONFIG["run"]["tasks"]
    for task, same in (("emotions", {"emotions", "reviews"}), ("neutral", set())):
        wanted = [chosen.scores("embedded", t, "cnl") for t in tasks if t not in same]
        assert chosen.mask_inputs("embedded", task, "cnl", "s6")["others"] == wanted
        assert "others" not in chosen.mask_inputs("embedded", task, "cnl", "s3")
    assert chosen.mask_inputs("embedded", "mixture", "cnl", "s6")["others"] == []
