"""The attribution stage from files to a file, on a small model saved as a folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from caploc import cli
from caploc.attribution.rules import path_rule
from caploc.files import shards, store
from caploc.locators import cnl
from caploc.models.loading import load_model
from caploc.records import DataError, Sample
from caploc.stages import attribute_shard

METHOD = {"locator": "cnl", "site": "post", "rule": "inclusive", "steps": 3,
          "max_answer_tokens": 2, "batch_rows": 200}  # fmt: skip
ROWS = [
    ("s0", "one + two =", " three"),
    ("s1", "two + two =", " four ?"),
    ("s2", "a b c", ""),
    ("s3", "a b c", " d e f"),
    ("s4", "d e", " f"),
    ("s5", "a " * 40, "b"),
    ("s6", "three + one =", " four"),
]


class World:
    """Files of a small run."""

    def __init__(self, folder: Path, hf: Path, make_job: Callable[..., Any]) -> None:
        self.folder, self.hf, self.make_job = folder, hf, make_job
        self.manifest = folder / "manifest.json"
        self.samples = folder / "locate.parquet"
        self.out = folder / "shard-0000.parquet"
        self.describe()
        self.write(ROWS)

    def describe(self, **changes: Any) -> None:
        manifest = {"model": "tiny", "path": "hf", "repo": None, "revision": None, "n_layers": 3,
                    "n_neurons": 24, "family": "llama", "architecture": "LlamaForCausalLM",
                    "n_parameters": 1}  # fmt: skip
        store.write_json(manifest | changes, self.manifest)

    def write(self, rows: list[tuple[str, str, str]]) -> None:
        names = ["sample_id", "prompt", "answer"]
        columns = {n: [row[i] for row in rows] for i, n in enumerate(names)}
        meta = {"meta": ["{}"] * len(rows)}
        store.write_table(pa.table(columns | meta), self.samples, {"origin": {}})

    def spec(self, **changes: Any) -> dict[str, Any]:
        return {"model": "tiny", "task": "sums", "family": "llama", "dtype": "float32",
                "device": "cpu", "method": METHOD, "shard": 0, "shard_size": 100,
                "seed": 0} | changes  # fmt: skip

    def run(self, **changes: Any) -> tuple[pa.Table, dict[str, Any]]:
        inputs = {"manifest": [self.manifest], "samples": [self.samples]}
        job = self.make_job("attribute_shard", self.spec(**changes), inputs, {"scores": self.out})
        attribute_shard.run(job)
        return store.read_table(self.out), store.read_metadata(self.out)


@pytest.fixture
def world(tmp_path: Path, save_model: Callable[..., Path], make_job: Callable[..., Any]) -> World:
    return World(tmp_path, save_model(), make_job)


def test_file(world: World) -> None:
    table, metadata = world.run()
    schema = {f.name: str(f.type) for f in table.schema}
    assert schema == {
        "sample_id": "string", "layer": "int16", "scores": "fixed_size_list<element: float>[24]",
        "probability": "double", "probability_zeroed": "double", "gap_mean": "double",
        "gap_max": "double", "endpoint": "double", "rest_mean": "double", "rest_max": "double",
        "n_answer_tokens": "int32",
    }  # fmt: skip
    kept = ["s0", "s1", "s3", "s4", "s6"]
    assert table["sample_id"].to_pylist() == [s for s in kept for _ in range(3)]
    assert table["layer"].to_pylist() == [0, 1, 2] * 5
    assert table["n_answer_tokens"].to_pylist() == [n for n in (1, 2, 3, 1, 1) for _ in range(3)]
    assert metadata["dropped"] == [
        ["s2", "no answer tokens"],
        ["s5", "does not fit the context of 32 tokens"],
    ]
    assert metadata["n_samples"] == 5
    assert list(metadata["answer_positions"]) == ["s3"]
    path = path_rule("inclusive", 3)
    assert metadata["points"] == path.points.tolist()
    assert metadata["weights"] == path.weights.tolist()
    assert (metadata["rule"], metadata["site"]) == ("inclusive", "post")
    assert metadata["model"]["model"] == "tiny" and metadata["model"]["n_neurons"] == 24
    assert metadata["origin"]["stage"] == "attribute_shard"
    # What reads it next accepts it.
    (shard,) = shards.scan([world.out])
    assert shard.sample_ids == kept and shard.n_layers == 3


def test_numbers_are_those_of_the_locator(world: World) -> None:
    table, _ = world.run()
    lm = load_model(world.hf)
    settings = {k: v for k, v in METHOD.items() if k != "locator"}
    results = cnl.locate(lm, [Sample(*row) for row in ROWS], seed=0, **settings)
    scores = np.array(table["scores"].to_pylist()).reshape(5, 3, 24)
    kept = [r for r in results if isinstance(r, cnl.Attribution)]
    for i, result in enumerate(kept):
        np.testing.assert_array_equal(scores[i], result.scores)
        rows = table.slice(3 * i, 3).to_pydict()
        assert rows["probability"] == pytest.approx([result.probability.mean()] * 3)
        assert rows["probability_zeroed"] == pytest.approx(result.probability_zeroed.mean(1))
        assert rows["gap_mean"] == pytest.approx(result.gap.mean(1))
        assert rows["gap_max"] == pytest.approx(result.gap.max(1))
        assert rows["endpoint"] == pytest.approx(np.abs(result.endpoint).mean(1))
        assert rows["rest_mean"] == pytest.approx(result.rest.mean(1))
        assert rows["rest_max"] == pytest.approx(result.rest.max(1))


def test_an_adaptive_rule_says_what_it_did(world: World) -> None:
    method = METHOD | {"rule": "adaptive", "steps": 16, "tolerance": 1e-7}
    table, metadata = world.run(method=method)
    found = (metadata["rule"], metadata["steps"], metadata["tolerance"], metadata["points"])
    assert found == ("adaptive", 16, 1e-7, None)
    lm = load_model(world.hf)
    settings = {k: v for k, v in method.items() if k != "locator"}
    results = cnl.locate(lm, [Sample(*row) for row in ROWS], seed=0, **settings)
    kept = [r for r in results if isinstance(r, cnl.Attribution)]
    for name in ("intervals", "center", "radius"):
        expected = [layer.tolist() for r in kept for layer in getattr(r, name)]
        assert table[name].to_pylist() == expected
    assert table["rest_mean"] == table["gap_mean"] and set(table["endpoint"].to_pylist()) == {0.0}
    assert len(shards.scan([world.out])[0].sample_ids) == 5


def test_shards_cut_the_file_and_agree_with_the_whole(world: World) -> None:
    whole, _ = world.run()
    parts = [world.run(shard=i, shard_size=3) for i in range(3)]
    together = pa.concat_tables([table for table, _ in parts])
    assert together["sample_id"].to_pylist() == whole["sample_id"].to_pylist()
    np.testing.assert_allclose(
        np.array(together["scores"].to_pylist()), np.array(whole["scores"].to_pylist()),
        rtol=1e-3, atol=1e-6,
    )  # fmt: skip
    assert [m["dropped"][0][0] for _, m in parts if m["dropped"]] == ["s2", "s5"]


def test_same_job_same_bytes(world: World) -> None:
    world.run()
    first = world.out.read_bytes()
    world.run()
    assert world.out.read_bytes() == first


def test_row_groups(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute_shard, "_GROUP", 2)
    world.run()
    with pq.ParquetFile(world.out) as file:
        rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert rows == [6, 3, 3, 3]  # s2 and s5 are left out


class Killed(BaseException):
    """A kill: nothing in the library catches it."""


@pytest.mark.parametrize("n_done", [0, 1, 3])
def test_a_killed_shard_goes_on_to_the_same_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch, n_done: int
) -> None:
    monkeypatch.setattr(attribute_shard, "_GROUP", 2)
    world.run()
    wanted = world.out.read_bytes()
    world.out.unlink()
    groups, calls = attribute_shard._groups, []

    def counted(*arguments: Any) -> Any:
        if len(calls) == n_done and n_done >= 0:
            raise Killed
        calls.append(arguments)
        return groups(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(attribute_shard, "_groups", counted)
        with pytest.raises(Killed):
            world.run()
        assert not world.out.exists()
        before, n_done = len(calls), -1
        world.run()
        assert len(calls) - before == 4 - before
    assert world.out.read_bytes() == wanted
    assert not list(world.folder.glob(".*"))


def test_partial_work_of_other_settings_or_samples_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(seed=1)
    other = world.out.read_bytes()
    work = world.out.with_name(f".{world.out.name}.work")

    def interrupt(**changes: Any) -> None:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(attribute_shard, "tracked", _killing)
            world.run(**changes)
        assert (work / "000000.parquet").is_file()

    def _killing(items: Any, **_: Any) -> Any:
        next(iter(items))
        raise Killed
        yield

    interrupt(method=METHOD | {"steps": 5})
    world.run(seed=1)
    assert world.out.read_bytes() == other
    interrupt(seed=1)
    world.write(ROWS[3:])
    table, _ = world.run(seed=1)
    assert "s0" not in table["sample_id"].to_pylist()


def test_no_usable_sample_gives_an_empty_file(world: World) -> None:
    world.write([ROWS[2]])
    table, metadata = world.run()
    assert len(table) == 0 and metadata["n_samples"] == 0
    assert metadata["dropped"] == [["s2", "no answer tokens"]]
    table, metadata = world.run(shard=7, shard_size=10)  # behind the end of the file
    assert len(table) == 0 and metadata["dropped"] == []


# Refusals: nothing is left under the name of the output -----------------------------------------


def refused(world: World, message: str, **changes: Any) -> None:
    with pytest.raises(DataError, match=message):
        world.run(**changes)
    assert not world.out.exists()
    assert not list(world.folder.glob(".*.part"))


def test_repeated_ids(world: World) -> None:
    world.write([ROWS[0], ROWS[1], ROWS[0]])
    refused(world, "sample_id 's0' occurs more than once", shard=1, shard_size=1)


def test_missing_column(world: World) -> None:
    store.write_table(pa.table({"sample_id": ["a"], "prompt": ["b"]}), world.samples, {})
    refused(world, "column 'answer' is missing")


def damage_word(world: World, word: str) -> None:
    path = world.hf / "model.safetensors"
    tensors = load_file(path)
    token = load_model(world.hf).tokenizer.convert_tokens_to_ids(word)
    tensors["model.embed_tokens.weight"][token] = torch.nan
    save_file(tensors, path, metadata={"format": "pt"})


def test_nan_names_the_sample(world: World) -> None:
    damage_word(world, "four")
    world.write([*ROWS[:1], ("bad", "four + one =", " three")])
    refused(world, "sample 'bad': a score of layer 0 is not a finite number")


def test_nan_in_the_words_a_model_is_checked_with(world: World) -> None:
    damage_word(world, "a")
    refused(world, "LlamaForCausalLM: its activations are not finite numbers")


def test_truncated_weights(world: World) -> None:
    path = world.hf / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    refused(world, "damaged or missing weights")


def test_truncated_samples(world: World) -> None:
    world.samples.write_bytes(world.samples.read_bytes()[:-9])
    refused(world, "damaged or truncated Parquet file")


@pytest.mark.parametrize("key", ["n_layers", "n_neurons"])
def test_manifest_of_another_model(world: World, key: str) -> None:
    world.describe(**{key: 5})
    refused(world, rf"{key} is 5, the weights in hf have \d+; the manifest belongs to another")


def test_family_of_another_model(world: World) -> None:
    refused(world, "family is 'gptj', the weights are of family 'llama'", family="gptj")


def test_locator_of_other_units(world: World) -> None:
    refused(world, "'rome' scores every layer", method=METHOD | {"locator": "rome"})


def test_unknown_locator(world: World) -> None:
    refused(world, "unknown locators plug-in 'cnn'", method=METHOD | {"locator": "cnn"})


def test_command_line(world: World) -> None:
    arguments = ["attribute_shard", "--spec", json.dumps(world.spec()), "--code", "0",
                 "--input", f"manifest={world.manifest}", "--input", f"samples={world.samples}",
                 "--output", f"scores={world.out}"]  # fmt: skip
    assert cli.main(arguments) == 0
    assert len(store.read_table(world.out)) == 15
