"""Weights kept on disk or in main memory: read alike, and never changed in silence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_alone_or_together import NAMES, POOLED, SAMPLES, TOGETHER, tokenizer
from test_placement import spread
from tiny_families import FAMILIES

from caploc.interventions.rank_one import Edit, edited, rank_one_edit
from caploc.interventions.scale import scaled
from caploc.interventions.second_moment import factorised
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.records import DataError

EXPERTS = ("olmoe", "qwen3_moe", "deepseek_v3")  # share a parameter, which nothing fetches: refused
DENSE = [name for name in NAMES if not name.startswith(EXPERTS)]


def kept_elsewhere(name: str, how: str, folder: Path) -> tuple[LanguageModel, LanguageModel]:
    """A model in one piece, and the same with weights that accelerate fetches for each call."""
    whole = replace(FAMILIES[name](), tokenizer=tokenizer())
    model = spread(FAMILIES[name]().model, how, folder)
    return whole, replace(wrap_model(model), tokenizer=tokenizer())


@pytest.mark.parametrize(
    ("family", "how"), [("llama", "disk"), *((name, "state dict") for name in DENSE)]
)
def test_weights_that_are_kept_elsewhere(family: str, how: str, tmp_path: Path) -> None:
    whole, lm = kept_elsewhere(family, how, tmp_path)
    assert any(p.device.type == "meta" for p in lm.model.parameters())
    for name, run in (TOGETHER | POOLED).items():
        if name == "locators.circuit.locate" and len(lm.family.attention_in) != 3:
            continue
        wanted = [np.asarray(x, dtype=np.float64) for x in run(whole, SAMPLES)]
        for found, one in zip(run(lm, SAMPLES), wanted, strict=True):
            np.testing.assert_allclose(found, one, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("how", ["disk", "state dict"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_weights_that_are_kept_elsewhere_are_not_changed(
    family: str, how: str, tmp_path: Path
) -> None:
    whole, lm = kept_elsewhere(family, how, tmp_path)
    factor, _ = factorised(torch.eye(lm.n_neurons, dtype=torch.float64), 0.1)
    key, value = torch.ones(lm.n_neurons), torch.ones(lm.head.weight.shape[1])
    wanted, found = (rank_one_edit(one, 1, key, value, factor) for one in (whole, lm))
    torch.testing.assert_close(found.right, wanted.right)
    some = np.ones((lm.n_layers, lm.n_neurons), dtype=np.bool_)
    with pytest.raises(DataError, match="load the model whole"), scaled(lm, some, 0.0):
        pass
    with (
        pytest.raises(DataError, match="load the model whole"),
        edited(lm, Edit(1, key.double(), value.double())),
    ):
        pass


def test_experts_that_are_kept_elsewhere(tmp_path: Path) -> None:
    model = FAMILIES["olmoe"]().model
    with pytest.raises(DataError, match="load the model whole"):
        wrap_model(spread(model, "state dict", tmp_path))
