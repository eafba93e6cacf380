"""The must-reach numbers of edits and of IPP, on the model of config/embedded.yaml, run before.

    .venv/bin/python benchmarks/reliability.py

Closed form of the edit in float64; efficacy by layer with the published settings and with those of
config.yaml, on facts that the run does not use; the null row of IPP against the number of draws.
"""

import random
import sys
from pathlib import Path

import numpy as np
import torch

from caploc import plugins
from caploc.experiments.reliability._performance import Performance, ipp
from caploc.experiments.reliability._preference import log_probabilities
from caploc.experiments.reliability.sum_keys import read_moment
from caploc.forward.recall import Recall, recall
from caploc.forward.subject import tokens_of
from caploc.interventions.prefixes import sample_prefixes, with_prefix
from caploc.interventions.rank_one import (
    ValueSettings,
    edited,
    find_values,
    mean_keys,
    rank_one_edit,
)
from caploc.interventions.second_moment import factorised
from caploc.models.language_model import LanguageModel
from caploc.models.loading import load_model
from caploc.models.tokens import encode
from caploc.records import Sample
from caploc.stages.prepare_facts import read_facts
from machine import save

RUN = Path(__file__).resolve().parents[1] / "results/embedded"
N_FACTS = 16


def closed_form(lm: LanguageModel) -> dict[str, float]:
    """Largest relative error of W' k = v, and change for C-orthogonal keys, in float64."""
    layer, generator = 0, torch.Generator().manual_seed(0)
    projection = lm.projections[layer]
    moment = read_moment(RUN / "moments/embedded/moments.json", layer)
    factor, _ = factorised(moment, 0.01)
    c = factor @ factor.T
    key, *others = torch.randn(9, lm.n_neurons, dtype=torch.float64, generator=generator)
    value = torch.randn(projection.weight.shape[0], dtype=torch.float64, generator=generator)
    direction = torch.linalg.solve(c, key)
    others = [k - (k @ direction) / (key @ direction) * key for k in others]
    before = [projection(k) for k in others]
    with edited(lm, rank_one_edit(lm, layer, key, value, factor)):
        return {
            "value_relative_error": ((projection(key) - value).norm() / value.norm()).item(),
            "orthogonal_change": max(
                (projection(k) - b).abs().max().item() for k, b in zip(others, before, strict=True)
            ),
        }


def efficacy(
    lm: LanguageModel, settings: ValueSettings, lengths: list[tuple[int, int]]
) -> list[float]:
    """Share of facts that prefer the new object after the edit, by layer."""
    used = {fact.fact_id for fact in read_facts(RUN / "facts/invented/facts.parquet")}
    everything = plugins.load("facts", "knowledge_base").FACTS.read({}).facts
    facts = [fact for fact in everything if fact.fact_id not in used]
    random.Random(1).shuffle(facts)
    facts = facts[: 2 * N_FACTS]
    known = recall(lm, [f.prompts[0] for f in facts], [" " + f.object for f in facts])
    right = [isinstance(answer, Recall) and answer.correct for answer in known]
    facts = [f for f, ok in zip(facts, right, strict=True) if ok][:N_FACTS]
    prefixes = sample_prefixes(lm, lengths, 0)
    texts, essences, pairs = [], [], []
    for f in facts:
        meta = {"subject": f.subject}
        tokens = tokens_of(lm, Sample(f.fact_id, f.prompts[0], " " + f.new_object, meta))
        texts.append([with_prefix(lm, tokens, prefix) for prefix in prefixes])
        about = Sample(f.fact_id, f"{f.subject} is a", " " + f.new_object, meta)
        essences.append(tokens_of(lm, about))
        old = encode(lm.tokenizer, f.prompts[0], " " + f.object)[1]
        pairs.append((tokens.prompt, old, tokens.answer))
    keys = mean_keys(lm, texts)
    found = []
    for layer in range(lm.n_layers):
        factor, _ = factorised(read_moment(RUN / "moments/embedded/moments.json", layer), 0.01)
        values = find_values(lm, layer, texts, essences, settings)
        hits = 0
        for i, (prompt, old, new) in enumerate(pairs):
            with edited(lm, rank_one_edit(lm, layer, keys[layer, i], values[i], factor)):
                before, after = log_probabilities(lm, [prompt] * 2, [old, new])
            hits += bool(after > before)
        found.append(hits / len(facts))
    return found


def null_rows() -> dict[int, float]:
    """Mean null row of IPP of 200 draws of uniform numbers, 30 facts, by R."""
    found = {}
    for n_draws in (1, 2, 5, 10, 20, 50):
        values = []
        for seed in range(200):
            drawn = np.random.default_rng(seed).random((n_draws + 1, 30))
            performance = Performance.of(drawn[0], drawn[:-1], None, drawn[-1:])
            values.append(ipp(performance)["null"])
        found[n_draws] = round(float(np.mean(values)), 4)
    return found


def main() -> None:
    folder = RUN / "models/embedded/hf"
    lm = load_model(folder)
    published, tuned = ValueSettings(), ValueSettings(learning_rate=5.0, clamp=20.0)
    path = save(
        "reliability",
        {
            "what": "rank-one edits of the embedded model; facts the run does not use",
            "closed_form_float64": closed_form(load_model(folder, dtype="float64")),
            "n_facts": N_FACTS,
            "efficacy_by_layer": {
                "published settings, prefixes 1 x 5 and 1 x 10 tokens": efficacy(
                    lm, published, [(1, 5), (1, 10)]
                ),
                "published settings, no prefix": efficacy(lm, published, []),
                "settings of config.yaml": efficacy(lm, tuned, [(1, 5), (1, 10)]),
                "settings of config.yaml, no prefix": efficacy(lm, tuned, []),
            },
            "null_row_of_ipp_by_draws": null_rows(),
        },
    )
    sys.stdout.write(path.read_text())


if __name__ == "__main__":
    main()
