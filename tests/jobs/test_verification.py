"""Every damaged, foreign or stale file of a run is found, with its reason and the remedy."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from caploc.files import store
from caploc.jobs import receipts
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.verification import findings, remedies
from caploc.records import DataError

RUN = Path("results/r")


def jobs():
    """A small run: samples, a model folder, scores of both, a table in two formats."""
    samples, manifest = RUN / "samples/a/locate.parquet", RUN / "models/m/manifest.json"
    scores = RUN / "scores/m/a.parquet"
    return [
        Job("prepare_samples", {"task": "a", "seed": 0}, "c1", {}, {"locate": samples}),
        Job("train_model", {"model": "m", "train": {"steps": 5}}, "c2", {}, {"manifest": manifest}),
        Job(
            "attribute_shard", {"task": "a"}, "c3",
            {"samples": [samples], "manifest": [manifest]}, {"scores": scores},
        ),
        Job(
            "tabulate_base", {}, "c4", {"parts": [scores]},
            {"csv": RUN / "tables/base.csv", "parquet": RUN / "tables/base.parquet"},
        ),
    ]  # fmt: skip


def make(job):
    origin = job.origin()
    rng = np.random.default_rng(len(job.stage))
    for path in job.outputs.values():
        if path.suffix == ".parquet":
            table = pa.table({"x": rng.normal(size=400), "text": ["words"] * 400})
            store.write_table(table, path, {"origin": origin}, ["x"])
        elif path.suffix == ".csv":
            store.write_text("a,b\n" + "1,2.5\n" * 50, path)
        else:
            folder = path.parent / "hf"
            folder.mkdir(parents=True)
            tensors = {"w": rng.normal(size=(8, 50))}
            save_file(tensors, folder / "model.safetensors", {"format": "pt"})
            (folder / "config.json").write_text(json.dumps({"architectures": ["Toy"]}))
            files = {p.name: file_digest(p) for p in folder.iterdir()}
            store.write_json({"path": "hf", "files": files, "origin": origin}, path)
    receipts.write_receipts(job, origin)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for job in jobs():
            make(job)
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of the finished run, as the working directory."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return jobs()


def kinds(found):
    return {str(f.path.relative_to(RUN)): f.kind for f in found}


def test_a_finished_run_is_right(run):
    assert findings(run) == []
    assert remedies([]) == []


def swapped():
    for one, two in (("a", "b"), (".a", ".b")):
        ending = ".parquet" + (".receipt" if one[0] == "." else "")
        a, b = (RUN / f"scores/m/{name}{ending}" for name in (one, two))
        content = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(content)


def receipt(edit):
    path = receipts.receipt_of(RUN / "scores/m/a.parquet")
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))


HARM = {
    "no receipt": lambda: receipts.receipt_of(RUN / "scores/m/a.parquet").unlink(),
    "receipt of another file": swapped,
    "receipt without inputs": lambda: receipt({"inputs": None}),
    "receipt with inputs of another kind": lambda: receipt({"inputs": [1]}),
    "receipt without settings": lambda: receipt({"spec": None}),
    "file added to a model": lambda: (RUN / "models/m/hf/added_tokens.json").write_text("{}"),
    "adapter": lambda: (RUN / "models/m/hf/adapter_model.safetensors").write_text("{}"),
    "weights named outside": lambda: manifest({"files": {"../hf/model.safetensors": "0"}}),
    "manifest that is a list": lambda: manifest(None),
}


def manifest(edit):
    path = RUN / "models/m/manifest.json"
    store.write_json(edit and json.loads(path.read_text()) | edit, path)
    receipts.write_receipts(jobs()[1], jobs()[1].origin())


@pytest.mark.parametrize("harm", HARM)
def test_what_a_job_refuses_verify_tells_too(run, harm):
    other = Job("attribute_shard", {"task": "b"}, "c3", {}, {"scores": RUN / "scores/m/b.parquet"})
    make(other)
    assert findings([*run, other]) == []
    HARM[harm]()
    reader = Job("x", {}, "", {"all": [p for job in run for p in job.outputs.values()]}, {})
    with pytest.raises(DataError) as told:
        receipts.check_inputs(reader)
    assert "\n" not in str(told.value)
    bad = [f for f in findings([*run, other]) if f.kind in ("damaged", "foreign")]
    assert bad


FILES = [
    "samples/a/locate.parquet", "models/m/manifest.json", "models/m/hf/model.safetensors",
    "models/m/hf/config.json", "scores/m/a.parquet", "tables/base.csv", "tables/base.parquet",
]  # fmt: skip
DAMAGE = {
    "empty": lambda content: b"",
    "first half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "bit in the first tenth": lambda content: _flipped(content, 0.05),
    "bit in the middle": lambda content: _flipped(content, 0.5),
    "bit near the end": lambda content: _flipped(content, 0.97),
    "zeros at the end": lambda content: content[:-16] + bytes(16),
}


def _flipped(content, share):
    changed = bytearray(content)
    changed[int(len(content) * share)] ^= 0x04
    return bytes(changed)


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_every_damaged_file_is_found(run, name, how):
    """49 damaged files; the weights are reported under their manifest, which is made anew."""
    path = RUN / name
    content = path.read_bytes()
    path.write_bytes(DAMAGE[how](content))
    found = findings(run)
    reported = "models/m/manifest.json" if name.startswith("models/") else name
    (first,) = [f for f in found if f.kind == "damaged"]
    assert str(first.path.relative_to(RUN)) == reported
    assert Path(name).name in f"{first.path} {first.reason}"
    # what was made from it is not trusted either
    assert {f.kind for f in found if f is not first} <= {"stale"}
    maker = next(job for job in run if first.path in job.outputs.values())
    target = next(iter(maker.outputs.values()))
    assert remedies(found) == [f"make anew: snakemake --cores all --forcerun {target}"]


def test_a_missing_weight_file_is_damage(run):
    (RUN / "models/m/hf/model.safetensors").unlink()
    found = findings(run)
    assert "model.safetensors: is missing" in found[0].reason
    assert (found[0].kind, found[0].path) == ("damaged", RUN / "models/m/manifest.json")


def test_a_damaged_receipt_vouches_for_nothing(run):
    for content in ("", "{}", '{"sha256": 1'):
        receipts.receipt_of(RUN / "tables/base.csv").write_text(content)
        assert kinds(findings(run)) == {"tables/base.csv": "damaged"}


def changed(run, stage, **fields):
    return [replace(job, **fields) if job.stage == stage else job for job in run]


def test_changed_settings_and_code_are_stale_with_all_that_follows(run):
    found = findings(changed(run, "train_model", spec={"model": "m", "train": {"steps": 9}}))
    assert [(str(f.path.relative_to(RUN)), f.kind, f.follows) for f in found] == [
        ("models/m/manifest.json", "stale", False), ("scores/m/a.parquet", "stale", True),
        ("tables/base.csv", "stale", True), ("tables/base.parquet", "stale", True),
    ]  # fmt: skip
    assert found[0].reason == "settings have changed: train.steps was 5, now 9"
    found = findings(changed(run, "tabulate_base", code="other"))
    assert kinds(found) == {"tables/base.csv": "stale", "tables/base.parquet": "stale"}
    assert found[0].reason == "the code of tabulate_base has changed"
    assert remedies(found, ["a b.yaml"]) == [
        "make anew: snakemake --cores all --configfile 'a b.yaml' "
        "--forcerun results/r/tables/base.csv"
    ]


def test_a_setting_that_came_or_went_is_named(run):
    found = findings(changed(run, "attribute_shard", spec={"task": "a", "rule": None}))
    assert found[0].reason == "settings have changed: rule was null, now null"
    found = findings(changed(run, "attribute_shard", spec={}))
    assert found[0].reason == 'settings have changed: task was "a", now null'


def test_an_input_that_was_made_anew_or_is_one_more_is_seen(run):
    samples = run[0].outputs["locate"]
    more = {"parts": [RUN / "scores/m/a.parquet", samples]}
    found = findings(changed(run, "tabulate_base", inputs=more))
    assert {f.reason for f in found} == {"made from 1 files 'parts', today there are 2"}
    rows = pa.table({"x": [1.0], "text": ["other"]})
    store.write_table(rows, samples, {"origin": run[0].origin()})
    assert kinds(findings(run))["samples/a/locate.parquet"] == "damaged"
    receipts.write_receipts(run[0], run[0].origin())
    found = findings(run)
    assert found[0].reason == f"its input {samples} has changed since"
    assert found[0].path == RUN / "scores/m/a.parquet"


def test_removed_intermediates_are_no_fault(run):
    (RUN / "scores/m/a.parquet").unlink()
    receipts.receipt_of(RUN / "scores/m/a.parquet").unlink()
    assert findings(run) == []


def test_unfinished_foreign_and_left_over_files(run):
    receipts.receipt_of(RUN / "tables/base.csv").unlink()
    (RUN / "tables/notes.txt").write_text("mine")
    (RUN / "tables/.base.csv.123.part").write_text("half")
    (RUN / "tables/.base.csv.work").mkdir()
    (RUN / "tables/.base.csv.work/chunk").write_text("partial")
    extra = Job("build_mask", {}, "c", {}, {"mask": RUN / "masks/old.parquet"})
    make(extra)
    receipts.receipt_of(RUN / "masks/gone.parquet").write_text("{}")
    found = findings(run)
    assert kinds(found) == {
        "tables/base.csv": "foreign", "tables/notes.txt": "foreign",
        "tables/.base.csv.123.part": "left over", "masks/old.parquet": "left over",
        "masks/.gone.parquet.receipt": "left over",
        "masks/.old.parquet.receipt": "left over",
    }  # fmt: skip
    reasons = {f.path.name: f.reason for f in found}
    assert reasons["old.parquet"] == "made by build_mask, no job of today's configuration makes it"
    assert remedies(found)[0].endswith("--forcerun results/r/tables/base.csv")
    assert remedies(found)[1] == "remove what is foreign: rm -r results/r/tables/notes.txt"


def test_another_stage_makes_the_file_today(run):
    stages = [*run[:-1], replace(run[-1], stage="tabulate_samples")]
    assert set(kinds(findings(stages)).values()) == {"foreign"}


def test_many_files_are_named_by_their_rules(run):
    many = [
        Job("build_mask", {"i": i}, "c", {}, {"mask": RUN / f"masks/{i}.parquet"})
        for i in range(41)
    ]
    for job in many:
        make(job)
    for rule, named in (("", "build_mask"), ("masks_of_all", "masks_of_all")):
        later = [replace(job, code="new", rule=rule) for job in many]
        assert remedies(findings([*run, *later])) == [
            f"make anew: snakemake --cores all --forcerun {named}"
        ]


def test_jobs_of_two_runs_or_none_are_refused(run):
    with pytest.raises(DataError, match="0 jobs in 0 folders"):
        findings([])
