"""The functions of a notebook, against the workflow's parts and against plain transformers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny_families import FAMILIES, MOE_LIKE, tiny_model

import caploc
from caploc.attribution.public import untouched
from caploc.forward.silencing import Erasure, Erasures, erased
from caploc.models.language_model import LanguageModel, matrix

PAIRS = [("a b =", " one"), ("c d =", " two three"), ("a =", " two"), ("b c d =", " four")]


def some_mask(seed: int = 0, shape: tuple[int, int] = (3, 24)) -> Any:
    return np.random.default_rng(seed).random(shape) < 0.3


def logits(model: Any, ids: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor(ids), use_cache=False).logits


def test_locate_is_the_mean_of_attribute(model: Any, tokenizer: Any) -> None:
    found = caploc.locate(model, tokenizer, PAIRS, sigma=2.0, rule="inclusive", steps=5)
    scores = []
    for prompt, answer in PAIRS:
        ids = [tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, answer)]
        own = caploc.attribute(model, [tokenizer.bos_token_id, *ids[0]], ids[1], steps=5)
        scores.append(own.scores)
    mean = np.mean(scores, axis=0)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
    far = np.abs(mean - mean.mean()) > 2 * mean.std()
    assert (found.mask == far).all() and far.any()
    np.testing.assert_allclose(found.z, (mean - mean.mean()) / mean.std())
    table = found.table()
    assert len(table) == far.sum()
    assert table["z"].abs().is_sorted(descending=True)
    first = table.row(0, named=True)
    assert first["score"] == pytest.approx(mean[first["layer"], first["neuron"]])


def test_forms_of_samples_are_the_same(model: Any, tokenizer: Any) -> None:
    table = pl.DataFrame(PAIRS, schema=["prompt", "answer"], orient="row")
    records = [caploc.Sample(str(i), *pair) for i, pair in enumerate(PAIRS)]
    found = [caploc.locate(model, tokenizer, s).mean for s in (PAIRS, table, records)]
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all()


def test_methods_that_contrast(model: Any, tokenizer: Any) -> None:
    others = {"other": [("d =", " three"), ("d d =", " one")]}
    method = "activation_entropy"
    found = caploc.locate(model, tokenizer, PAIRS, method=method, others=others, neutral=PAIRS)
    assert found.mean.shape == (3, 24)


def test_halves(model: Any, tokenizer: Any) -> None:
    assert caploc.locate(model, tokenizer, PAIRS).halves() is None
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 3, 24)) * 0.01
    scores[:, 1, 3:6] += 1
    same = caploc.Located(scores, 2.0).halves()
    assert same == (1.0, 1.0, 1.0)
    noise = caploc.Located(rng.normal(size=(40, 3, 24)), 2.0).halves()
    assert noise is not None and noise[0] < 0.6


def test_saved_masks_are_read(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    found = caploc.locate(model, tokenizer, PAIRS, sigma=2.0)
    assert found.save(tmp_path / "m.parquet") == found.mask.sum()
    assert (caploc.read_mask(tmp_path / "m.parquet") == found.mask).all()


def test_a_map_has_a_line_for_each(model: Any, tokenizer: Any) -> None:
    chart = caploc.draw_map({"one": some_mask(0), "two": some_mask(1)}).to_dict()
    (values,) = chart["datasets"].values()
    rows = pl.DataFrame(values)
    assert rows.group_by("ability").agg(pl.col("share").sum())["share"].to_list() == [1, 1]
    assert rows.filter(ability="one")["neurons"].to_list() == some_mask(0).sum(axis=1).tolist()
    assert caploc.locate(model, tokenizer, PAIRS).plot().to_dict()


def with_zero_columns(lm: LanguageModel, mask: Any, ids: Any) -> Any:
    """Logits of the model with 0 in the columns of its output projections that the mask names."""
    if lm.family.experts:  # whose columns are those of several matrices
        rows = torch.zeros(len(ids), dtype=torch.long)
        with erased(lm, Erasures(lm, [Erasure(mask)]), rows):
            return logits(lm.model, ids)
    weights = [matrix(p) for p in lm.projections]
    kept = [w.clone() for w in weights]
    with torch.no_grad():
        for weight, neurons in zip(weights, mask, strict=True):
            weight[:, torch.from_numpy(neurons)] = 0
        found = logits(lm.model, ids)
        for weight, old in zip(weights, kept, strict=True):
            weight.copy_(old)
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_silenced_columns_are_zero_columns(name: str) -> None:
    """In every family the same as a model whose output projection has 0 there; then as before."""
    lm: LanguageModel = FAMILIES[name]()
    mask = some_mask(1, (lm.n_layers, lm.n_neurons))
    ids = [[3, 5, 2, 7], [1, 4, 6, 2]]
    plain = logits(lm.model, ids)
    with caploc.silenced(lm, mask):
        inside = logits(lm.model, ids)
    with caploc.silenced(lm, [None, mask]):
        by_row = logits(lm.model, ids)
    assert torch.equal(logits(lm.model, ids), plain)
    wanted = with_zero_columns(lm, mask, ids)
    torch.testing.assert_close(inside, wanted)
    torch.testing.assert_close(by_row, torch.stack([plain[0], wanted[1]]))
    assert (inside - plain).abs().max() > 1e-6


def test_scaled_replaced_and_nested(model: Any) -> None:
    mask, ids = some_mask(), [[3, 5, 2, 7]]
    plain = logits(model, ids)
    with caploc.scaled(model, mask, 1.0):
        torch.testing.assert_close(logits(model, ids), plain)
    with caploc.silenced(model, mask):
        silent = logits(model, ids)
        with caploc.scaled(model, mask, 3.0):
            torch.testing.assert_close(logits(model, ids), silent)
    with caploc.scaled(model, mask, 0.0):
        torch.testing.assert_close(logits(model, ids), silent)
    with caploc.replaced_by_mean(model, mask, np.zeros(mask.shape)):
        torch.testing.assert_close(logits(model, ids), silent)
    with caploc.replaced_by_mean(model, mask, np.ones(mask.shape)):
        assert not torch.allclose(logits(model, ids), silent)
    assert torch.equal(logits(model, ids), plain)


def test_around_generate_and_after_an_error(model: Any) -> None:
    mask = some_mask()
    ids = torch.tensor([[3, 5, 2, 7]])
    model.train()
    with pytest.raises(RuntimeError, match="mine"), caploc.silenced(model, mask):
        first = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
        raise RuntimeError("mine")
    assert model.training and all(p.requires_grad for p in model.parameters())
    model.eval()
    # By hand, token by token, without a cache.
    with caploc.silenced(model, mask):
        read = ids
        for _ in range(4):
            read = torch.cat([read, logits(model, read.tolist())[:, -1:].argmax(-1)], 1)
            if int(read[0, -1]) == model.generation_config.eos_token_id:
                break
    assert torch.equal(first, read)
    with (
        pytest.raises(ValueError, match="1 rows run, but there are 2 masks"),
        caploc.silenced(model, [mask, None]),
    ):
        logits(model, ids.tolist())


def test_evaluate(model: Any, tokenizer: Any) -> None:
    table = caploc.evaluate(model, tokenizer, [*PAIRS, ("a " * 40, " one")])
    assert table["prompt"].to_list()[:4] == [prompt for prompt, _ in PAIRS]
    for row, (prompt, answer) in zip(table.iter_rows(named=True), PAIRS, strict=False):
        x, y = (tokenizer(t, add_special_tokens=False).input_ids for t in (prompt, answer))
        ids = [tokenizer.bos_token_id, *x, *y]
        logp = torch.log_softmax(logits(model, [ids])[0], -1)
        wanted = sum(float(logp[len(ids) - len(y) - 1 + k, token]) for k, token in enumerate(y))
        assert row["logprob"] == pytest.approx(wanted)
        assert row["right"] == (row["completion"].split() == answer.split())
    assert table.row(-1)[2:] == (None, None, None)


def test_effect(model: Any, tokenizer: Any) -> None:
    mask = some_mask()
    table = caploc.effect(model, tokenizer, mask, PAIRS, {"other": PAIRS[:2]}, controls=4)
    before = caploc.evaluate(model, tokenizer, PAIRS)["logprob"]
    with caploc.silenced(model, mask):
        after = caploc.evaluate(model, tokenizer, PAIRS)["logprob"]
    own, other = table.iter_rows(named=True)
    assert own["ability"] == "own" and own["n"] == 4
    assert own["fall"] == pytest.approx((before - after).mean())
    assert other["fall"] == pytest.approx((before - after)[:2].mean())
    assert own["surplus"] == pytest.approx(own["fall"] - own["random"])
    assert own["p"] in (0.2, 0.4, 0.6, 0.8, 1.0)


def test_the_notebook_of_readme(
    save_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten lines, of which the last ones print what is left without the located neurons."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
    assert len(block.replace("\n\n", "\n").splitlines()) <= 11
    block = re.sub(r'folder = ".*"', f"folder = {str(save_model())!r}", block)
    block = block.replace("big -> bigger\\nold ->", "a b").replace("big -> bigger\\nrich ->", "c d")
    exec(block.replace("sigma=6", "sigma=2"), {})
    told = capsys.readouterr().out
    assert told.count("completion") == 2 and "neuron" in told


def test_a_mixture_of_experts_is_left_as_it_was() -> None:
    model = tiny_model("Qwen3Moe", MOE_LIKE)
    before = {name: type(module) for name, module in model.named_modules()}
    with untouched(model) as lm:
        mask = some_mask(0, (lm.n_layers, lm.n_neurons))
    with caploc.silenced(model, mask):
        logits(model, [[3, 5, 2]])
    assert before == {name: type(module) for name, module in model.named_modules()}
