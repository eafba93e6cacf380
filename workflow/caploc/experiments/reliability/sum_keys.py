"""Second moment of the keys of every FFN over neutral text, one file a layer.

Settings: `SumKeys`. Inputs: ``manifest``, ``samples`` (prompt and
answer are read as one text). Output: ``moments``, which names the files of the layers beside it.
Texts stream through; a job that was killed goes on where it was.
"""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from caploc.experiments.reliability.settings import SumKeys
from caploc.files import store
from caploc.forward.processor import use_processor
from caploc.forward.samples import model_of
from caploc.interventions.second_moment import Moments
from caploc.jobs.digests import file_digest
from caploc.jobs.job import Job
from caploc.jobs.partial_work import partial_work, sealed
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel
from caploc.models.tokens import encode_text
from caploc.records import DataError

__all__ = ["read_moment", "run"]

_LOG = logging.getLogger(__name__)
_EVERY = 200
"""Texts between two states that are kept: what a kill costs at most."""


def run(job: Job) -> None:
    """Add the texts up for as many layers at a time as fit, write.

    Raises:
        DataError: no text.
    """
    use_processor(job.threads)
    told = job.told(SumKeys)
    lm = model_of(job.input("manifest"), job.spec)
    output = job.outputs["moments"]
    at_once = max(1, told.memory_mb * 1_000_000 // (8 * lm.n_neurons**2))
    files: dict[str, str] = {}
    with partial_work(job) as partial:
        for first in range(0, lm.n_layers, at_once):
            group = list(range(first, min(first + at_once, lm.n_layers)))
            moments = _summed(lm, job.inputs["samples"], group, partial, told.texts)
            for layer in group:
                file = _file_of(output, layer)
                with store.atomic_path(file) as path:
                    save_file({"moment": moments.mean(layer)}, path)
                files[file.name] = file_digest(file)
        facts = {"n_texts": moments.n_texts, "n_tokens": moments.n_tokens}
        store.write_json({"origin": job.origin(), "files": files} | facts, output)
    _LOG.info("second moments over %d texts, %d tokens", moments.n_texts, moments.n_tokens)


def read_moment(path: Path, layer: int) -> torch.Tensor:
    """(neuron, neuron) second moment of one layer.

    Args:
        path: output ``moments`` of this stage.
        layer: index of the block.

    Raises:
        DataError: a file is missing or is not the one that was written.
    """
    file = _file_of(path, layer)
    if not file.is_file() or file_digest(file) != store.read_json(path)["files"][file.name]:
        raise DataError(f"{file}: missing, or its content changed; delete {path} and run again")
    return load_file(file)["moment"]


def _file_of(output: Path, layer: int) -> Path:
    return output.with_name(f"layer-{layer:04d}.safetensors")


def _summed(
    lm: LanguageModel, paths: list[Path], group: list[int], partial: Path, n_texts: int
) -> Moments:
    """Sums over all texts for some layers, from where an earlier attempt stopped."""
    state = partial / f"sums-{group[0]:04d}.safetensors"
    moments = _resumed(state, group) or Moments.empty(lm, group)
    texts = islice(_texts(lm, paths), moments.n_texts, n_texts)
    chunks = iter(lambda: list(islice(texts, _EVERY)), [])
    for chunk in tracked(chunks, -(-n_texts // _EVERY), f"layers {group[0]}-{group[-1]}"):
        moments.add(lm, chunk)
        with sealed(state) as path:
            counts = {"n_tokens": str(moments.n_tokens), "n_texts": str(moments.n_texts)}
            save_file({"total": moments.total}, path, metadata=counts)
    if not moments.n_tokens:
        raise DataError(
            "no text to take second moments over; set run.neutral to a task with samples"
        )
    return moments


def _resumed(state: Path, group: list[int]) -> Moments | None:
    if not state.is_file():
        return None
    with safe_open(state, framework="pt") as file:
        counts = file.metadata()
        total = file.get_tensor("total")
    return Moments(group, total, int(counts["n_tokens"]), int(counts["n_texts"]))


def _texts(lm: LanguageModel, paths: list[Path]) -> Iterator[list[int]]:
    """Token ids of each text; those longer than the context are cut."""
    for path in paths:
        with store.open_parquet(path, ["prompt", "answer"]) as file:
            for batch in file.iter_batches(_EVERY, columns=["prompt", "answer"]):
                for row in batch.to_pylist():
                    ids, _ = encode_text(lm.tokenizer, row["prompt"] + row["answer"])
                    if ids:
                        yield ids[: lm.context]
