"""The effect of every planted neuron on its capability, and of each set of decoys.

Settings: ``plant``, ``seed``, ``task`` (the capability), ``samples`` (test samples), ``subsets``
(random subsets of the planted set), ``batch_tokens``. Inputs: ``manifest``, ``sets``, ``samples``
(test). Output: ``effects``: kind, layer, neuron, effect, error (nat per sample); rows without a
neuron are whole sets: what silencing them takes from the log-probability, others left as they are.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caploc.experiments.known_answer._effects import effects_of, flips
from caploc.experiments.known_answer._layout import DECOYS, Layout, read_layout
from caploc.experiments.known_answer._planted import PLACE
from caploc.files import store
from caploc.forward.likelihood import answer_likelihood, sample_groups
from caploc.forward.processor import use_processor
from caploc.forward.samples import Encoded, encoded, model_of, samples_of
from caploc.forward.silencing import Erasure
from caploc.jobs.job import Job
from caploc.jobs.progress import tracked
from caploc.models.language_model import LanguageModel

__all__ = ["EFFECTS", "run"]

EFFECTS = pa.schema(
    [
        ("kind", pa.string()),
        ("layer", pa.int16()),
        ("neuron", pa.int32()),
        ("effect", pa.float64()),
        ("error", pa.float64()),
    ]
)


def run(job: Job) -> None:
    """Silence subsets, compare, write."""
    use_processor(job.threads)
    spec = job.spec
    lm = model_of(job.input("manifest"), PLACE)
    layout = read_layout(job.input("sets"))
    texts = encoded(lm, samples_of(job.input("samples"), spec["samples"]))
    planted = layout.carrying(spec["task"])
    grids, silenced = flips(planted, spec["subsets"], spec["seed"])
    sets = _sets(layout, spec["task"])
    logprob = _logprob(lm, texts, [*grids, *sets.values()], spec["batch_tokens"]).mean(axis=1)
    found = effects_of(logprob[: len(grids)], silenced)
    kinds = np.where(layout.of("copy")[planted], "copy", "planted")
    rows = [
        {"kind": str(kind), "layer": int(layer), "neuron": int(neuron), "effect": e, "error": s}
        for kind, (layer, neuron), e, s in zip(
            kinds, np.argwhere(planted), found.mean.tolist(), found.error.tolist(), strict=True
        )
    ]
    base, *others = logprob[len(grids) :]
    for kind, value in zip(list(sets)[1:], others, strict=True):
        rows.append({"kind": kind, "effect": float(base - value)})
    table = pa.Table.from_pylist(rows, EFFECTS)
    metadata = {"origin": job.origin(), "n_samples": len(texts.samples), "dropped": texts.dropped}
    store.write_table(table, job.outputs["effects"], metadata)


def _sets(layout: Layout, capability: str) -> dict[str, NDArray[np.bool_]]:
    """The unchanged model first, then whole sets."""
    sets = {"": np.zeros(layout.owner.shape, dtype=np.bool_)}
    sets["planted"] = layout.carrying(capability)
    for kind in DECOYS:
        grid = layout.of(kind, capability=capability if kind == "negative" else None)
        if grid.any():
            sets[kind] = grid
    return sets


def _logprob(
    lm: LanguageModel, texts: Encoded, grids: list[NDArray[np.bool_]], batch_tokens: int
) -> NDArray[np.float64]:
    """(grid, sample) log-probability of the gold answers."""
    found = np.zeros((len(grids), len(texts.samples)))
    erasures = [Erasure(grid) for grid in grids]
    groups = sample_groups(texts.prompts, texts.answers, len(grids), batch_tokens)
    work = answer_likelihood(
        lm, texts.prompts, texts.answers, erasures, batch_tokens=batch_tokens
    )  # fmt: skip
    for samples, part in tracked(work, len(groups), "effects"):
        found[:, samples] = part.logprob
    return found
