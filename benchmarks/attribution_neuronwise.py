"""Does it matter whether neurons are scaled together or alone?

    python benchmarks/attribution_neuronwise.py

On the trained model of config/embedded.yaml: all neurons of a few word problems, scaled with their
layer and each alone, for the first answer tokens; rank correlation and shared top neurons.
"""

import argparse
import os
import time
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = "passive"  # as the command line sets it, before torch is loaded

import numpy as np
import polars as pl
import torch

from attribution import save
from attribution_samples import MODEL, samples_of
from caploc.attribution.neuronwise import attribute_neurons
from caploc.attribution.public import attribute
from caploc.models.loading import load_model


def rank_correlation(a, b) -> float:
    """Spearman's rank correlation of all elements; ties get their mean rank."""
    frame = pl.DataFrame({"a": np.ravel(a), "b": np.ravel(b)})
    return frame.select(pl.corr("a", "b", method="spearman")).item()


def shared(a: np.ndarray, b: np.ndarray, n: int) -> float:
    tops = [set(np.argsort(np.abs(x), axis=None)[-n:].tolist()) for x in (a, b)]
    return len(tops[0] & tops[1]) / n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of a trained model")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--answer", type=int, default=2, help="answer tokens of each")
    parser.add_argument("--steps", type=int, default=19)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lm = load_model(options.model)
    prompts, answers = samples_of(lm, options.samples)
    jointly, alone, seconds = [], [], 0.0
    for prompt, answer in zip(prompts, answers, strict=True):
        answer = answer[: options.answer]
        jointly.append(attribute(lm, prompt, answer, steps=options.steps).scores)
        started = time.perf_counter()
        found = attribute_neurons(lm, prompt, answer, steps=options.steps)
        seconds += time.perf_counter() - started
        alone.append(found.scores.reshape(lm.n_layers, lm.n_neurons))
    means = np.mean(jointly, axis=0), np.mean(alone, axis=0)
    rows = []
    for name, part in [("all", slice(None)), *((str(i), i) for i in range(lm.n_layers))]:
        a, b = means[0][part], means[1][part]
        located = np.argsort(np.abs(a), axis=None)[-50:]
        rows.append(
            {
                "layer": name,
                "neurons": a.size,
                "rank_correlation": round(rank_correlation(a, b), 3),
                "rank_correlation_of_magnitudes": round(rank_correlation(abs(a), abs(b)), 3),
                "rank_correlation_top_50_by_layer_scaling": round(
                    rank_correlation(a.ravel()[located], b.ravel()[located]), 3
                ),
                "top_10_shared": shared(a, b, 10),
                "top_50_shared": shared(a, b, 50),
                "sum_of_scores_jointly": round(float(a.sum()), 4),
                "sum_of_scores_alone": round(float(b.sum()), 4),
            }
        )
    settings = vars(options) | {"model": os.path.relpath(options.model)}
    facts = {"what": "scaling layer against scaling neuron, rule inclusive, mean over the samples",
             "settings": settings, "seconds_of_neuron_scaling": round(seconds, 1)}  # fmt: skip
    save("attribution_neuronwise", facts | {"rows": rows}, rows)


if __name__ == "__main__":
    main()
