"""Fixtures for tests of several folders."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from caploc.files import store
from caploc.jobs.job import Job

# The same examples in every run, and no time limit: a busy machine is not a failure.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# Groups of long tests run first, the longest in front: two processes then end at about one time.
LONGEST = ("test_kills", "finished", "test_real_input", "undisturbed", "test_newcomer")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares an expensive fixture stays in one process of `pytest -n 2 --dist loadgroup`."""

    def group(item: pytest.Item) -> str:
        if item.get_closest_marker("workflow") is None:
            return ""
        shared = [name for name in ("finished", "undisturbed") if name in _fixtures(item)]
        name = item.path.stem
        return name if name == "test_kills" or not shared else shared[-1]

    def place(item: pytest.Item) -> tuple[int, str]:
        name = group(item)
        rank = LONGEST.index(name) if name in LONGEST else len(LONGEST) + (not name)
        return rank, name

    for item in items:
        if name := group(item):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=place)


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


ShardWriter = Callable[..., Path]
Need = Callable[[str, bool, str], None]


@pytest.fixture(scope="session")
def need() -> Need:
    """Ask for something outside Python: a test skips without it, or fails where it is required.

    The environment variable CAPLOC_REQUIRE lists, with commas, what must be there: so a test run
    that should cover everything cannot pass by skipping.
    """

    def check(name: str, present: bool, remedy: str) -> None:
        if present:
            return
        if name in os.environ.get("CAPLOC_REQUIRE", "").split(","):
            pytest.fail(f"CAPLOC_REQUIRE lists {name}: {remedy}")
        pytest.skip(remedy)

    return check


@pytest.fixture
def write_shard(tmp_path: Path) -> ShardWriter:
    """Write an attribution file as the attribution stage does."""

    def write(
        name: str,
        scores: NDArray[np.float32],
        ids: list[str] | None = None,
        *,
        task: str = "sums",
        small: dict[str, NDArray[np.float64]] | None = None,
        **metadata: Any,
    ) -> Path:
        n_samples, n_layers, n_neurons = scores.shape
        ids = [f"s{i}" for i in range(n_samples)] if ids is None else ids
        shape = (n_samples, n_layers)
        small = {
            "probability": np.full(shape, 0.5),
            "probability_zeroed": np.full(shape, 0.25),
            "gap_mean": np.full(shape, 0.01),
            "gap_max": np.full(shape, 0.02),
            "endpoint": np.full(shape, 0.007),
            "rest_mean": np.full(shape, 0.003),
            "rest_max": np.full(shape, 0.013),
        } | (small or {})
        kind = pa.list_(pa.float32(), n_neurons)
        flat = pa.array(np.ascontiguousarray(scores, dtype=np.float32).reshape(-1))
        table = pa.table(
            {
                "sample_id": pa.array([i for i in ids for _ in range(n_layers)], pa.string()),
                "layer": pa.array(np.tile(np.arange(n_layers), n_samples), pa.int16()),
                "scores": pa.FixedSizeListArray.from_arrays(flat, type=kind),
                **{key: pa.array(value.reshape(-1)) for key, value in small.items()},
                "n_answer_tokens": pa.array([1] * n_samples * n_layers, pa.int32()),
            }
        )
        facts = {
            "origin": {"stage": "attribute_shard", "spec": {"task": task, "model": "m"}},
            "n_samples": n_samples,
            "dropped": [],
            "site": "post",
            "rule": "inclusive",
            "points": [0.0, 1.0],
            "weights": [1.0, 1.0],
            "model": {"model": "m"},
        }
        path = tmp_path / name
        store.write_table(table, path, facts | metadata, ["scores.list.element"])
        return path

    return write


@pytest.fixture
def make_job() -> Callable[..., Job]:
    """A job of a stage, as the command line makes it."""

    def make(
        stage: str,
        spec: dict[str, Any],
        inputs: dict[str, list[Path]],
        outputs: dict[str, Path],
        threads: int = 1,
    ) -> Job:
        return Job(stage, spec, "0" * 16, inputs, outputs, threads)

    return make


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """Save a small random Llama with a word tokenizer as an ordinary Hugging Face folder."""

    def save(name: str = "hf", max_shard_size: str = "1GB", **settings: Any) -> Path:
        # Here, because most tests need neither.
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        words = [
            "<unk>",
            "<s>",
            "</s>",
            *"abcdefghij",
            "one",
            "two",
            "three",
            "four",
            "=",
            "+",
            "?",
        ]
        tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
        torch.manual_seed(0)
        sizes = {
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(words),
            "max_position_embeddings": 32, "initializer_range": 0.4,
        }  # fmt: skip
        folder = tmp_path / name
        LlamaForCausalLM(LlamaConfig(**sizes | settings)).save_pretrained(
            folder, max_shard_size=max_shard_size
        )
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
        ).save_pretrained(folder)
        return folder

    return save
