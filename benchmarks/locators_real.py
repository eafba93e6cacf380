"""Locators on the model of the default run, at equal numbers of neurons.

    python benchmarks/locators_real.py

reads results/default (or --results) of a finished run and writes
benchmarks/results/locators_real.json. Each locator ranks the neurons of each ability by items
of the split locate; the first `--share` of all neurons are silenced at every position, and items of
the split test say how far log P(answer) falls, in nat an answer: own, mean of the others, neutral
text. Tasks that a pair of the run calls the same capability are left out.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caploc.files import store
from caploc.files.scores import read_scores
from caploc.forward.likelihood import answer_likelihood
from caploc.forward.processor import use_processor
from caploc.forward.samples import encoded, model_of, samples_of
from caploc.forward.silencing import Erasure
from caploc.locating import stacked
from caploc.locators import activation_size, uniform_masks
from caploc.locators._masked_passes import worth
from machine import save

ABILITIES = ("past-tense", "plurals", "comparatives", "antonyms", "capitals", "opinions",
             "small-sums", "last-of-five")  # fmt: skip
Grid = NDArray[np.float64]


def rankings(lm: Any, told: argparse.Namespace) -> dict[str, dict[str, Grid]]:
    """Locator, ability: (layer, neuron), the larger the earlier."""
    found: dict[str, dict[str, Grid]] = {}
    mean, error = {}, {}
    for task in ABILITIES:
        path = told.results / "samples" / task / "locate.parquet"
        samples = samples_of(lm, path, told.locate)
        cnl = read_scores(
            told.results / "scores" / told.model / task / "cnl.parquet", halves=False
        ).whole.astype(np.float64)
        found.setdefault("cnl", {})[task] = np.abs(cnl - cnl.mean())
        found.setdefault("cnl, positive", {})[task] = cnl
        sizes = stacked(activation_size.locate(lm, samples)).mean(axis=0)
        found.setdefault("activation size", {})[task] = sizes
        drawn = stacked(uniform_masks.locate(lm, samples, groups=10, rounds=1, seed=told.seed))
        drawn /= worth(lm, samples)
        mean[task] = drawn.mean(axis=0)
        error[task] = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    for task in ABILITIES:
        others = [t for t in ABILITIES if t != task]
        sizes = np.abs([mean[t] for t in others])
        worst = np.array([error[t] for t in others])[
            sizes.argmax(axis=0), *np.indices(mean[task].shape)
        ]
        own = mean[task] - sizes.max(axis=0)
        found.setdefault("uniform masks, stage one", {})[task] = own
        per_error = own / np.hypot(error[task], worst)
        found.setdefault("uniform masks, stage one, in standard errors", {})[task] = per_error
    return found


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--results", type=Path, default=Path("results/default"))
    told.add_argument("--model", default="smollm2")
    told.add_argument("--locate", type=int, default=20, help="items of each ability to locate")
    told.add_argument("--test", type=int, default=10, help="items of each ability to test")
    told.add_argument("--share", type=float, default=0.003)
    told.add_argument("--seed", type=int, default=0)
    told = told.parse_args()
    use_processor(1)
    lm = model_of(told.results / "models" / told.model / "manifest.json", {})
    ranked = rankings(lm, told)
    cells = [(name, task) for name in ranked for task in ABILITIES]
    grids = [np.zeros((lm.n_layers, lm.n_neurons), dtype=np.bool_)]
    for name, task in cells:
        grid = np.zeros(lm.n_layers * lm.n_neurons, dtype=np.bool_)
        order = np.argsort(-ranked[name][task].ravel(), kind="stable")
        grid[order[: round(told.share * grid.size)]] = True
        grids.append(grid.reshape(grids[0].shape))
    fall: dict[str, NDArray[np.float64]] = {}
    for task in (*ABILITIES, "neutral"):
        path = told.results / "samples" / task / "test.parquet"
        texts = encoded(lm, samples_of(lm, path, told.test))
        logprob = np.zeros((len(grids), len(texts.samples)))
        erasures = [Erasure(g) for g in grids]
        for which, part in answer_likelihood(lm, texts.prompts, texts.answers, erasures):
            logprob[:, which] = part.logprob
        fall[task] = (logprob[:1] - logprob[1:]).mean(axis=1)
        print(task, flush=True)
    rows = [
        {"locator": name, "ability": task, "own": fall[task][i],
         "others": np.mean([fall[t][i] for t in ABILITIES if t != task]),
         "neutral": fall["neutral"][i]}
        for i, (name, task) in enumerate(cells)
    ]  # fmt: skip
    rounded = [
        {k: round(v, 3) if not isinstance(v, str) else v for k, v in r.items()} for r in rows
    ]
    settings = {k: getattr(told, k) for k in ("model", "locate", "test", "share", "seed")}
    digest = store.read_json(told.results / "models" / told.model / "manifest.json").get("model")
    save("locators_real", {"settings": settings, "model": digest, "rows": rounded})


if __name__ == "__main__":
    main()
