"""Models that accelerate has spread: some weights in memory, others on disk or in a state dict.

A second device is not needed for that: weights that are kept elsewhere are fetched by accelerate's
hooks and leave again, so `module.weight` is empty in between.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, dispatch_model
from test_public import PROMPTS
from tiny_models import ids, tiny_gptj, tiny_llama
from torch import nn

from caploc import DataError, attribute, attribute_neurons

ANSWERS = [ids(2, seed=4), ids(4, seed=5), ids(1, seed=6)]


def spread(model: Any, how: str, folder: Path) -> Any:
    """Embedding and first block stay, the rest goes to disk; or everything into a state dict."""
    if how == "state dict":
        return cpu_offload(model, execution_device=torch.device("cpu"))
    base = model.base_model_prefix
    stays = [f"{base}.{name}" for name, _ in getattr(model, base).named_children()]
    blocks = next(n for n, m in model.named_modules() if isinstance(m, nn.ModuleList))
    places = {name: "cpu" for name in stays if name != blocks}
    n = len(model.get_submodule(blocks))
    places |= {f"{blocks}.{i}": "disk" if i else "cpu" for i in range(n)}
    places |= {"lm_head": "disk"}
    return dispatch_model(
        model, places, main_device="cpu", offload_dir=str(folder), force_hooks=True
    )


def hooks(model: Any) -> dict[str, Any]:
    return {
        name: (id(getattr(m, "_hf_hook", None)), m.__dict__.get("forward") is not None,
               len(m._forward_hooks), len(m._forward_pre_hooks))
        for name, m in model.named_modules()
    }  # fmt: skip


@pytest.mark.parametrize("how", ["disk", "state dict"])
@pytest.mark.parametrize("make", [tiny_llama, tiny_gptj])
@pytest.mark.parametrize("site", ["post", "pre"])
def test_same_scores(make: Any, how: str, site: str, tmp_path: Path) -> None:
    whole = attribute(make().model, PROMPTS, ANSWERS, steps=3, site=site)
    alone = attribute_neurons(make().model, PROMPTS[0], ANSWERS[0], [(1, 2)], steps=3, site=site)
    model = spread(make().model, how, tmp_path)
    ids_ = torch.tensor([PROMPTS[0]])
    before, logits = hooks(model), model(ids_).logits.detach()
    places = {name: p.device.type for name, p in model.named_parameters()}
    assert "meta" in places.values()
    found = attribute(model, PROMPTS, ANSWERS, steps=3, site=site)
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(ours.gap, theirs.gap, atol=1e-14)
    again = attribute_neurons(model, PROMPTS[0], ANSWERS[0], [(1, 2)], steps=3, site=site)
    np.testing.assert_allclose(again.scores, alone.scores, rtol=1e-12)
    assert hooks(model) == before
    assert {name: p.device.type for name, p in model.named_parameters()} == places
    torch.testing.assert_close(model(ids_).logits.detach(), logits, rtol=0, atol=0)


def test_hooks_survive_an_exception(tmp_path: Path) -> None:
    model = spread(tiny_llama().model, "disk", tmp_path)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    before, implementation = hooks(model), model.config._attn_implementation
    calls = 0

    def stop(module: Any, args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise RuntimeError("stopped")

    handle = model.model.layers[2].register_forward_pre_hook(stop)
    with pytest.raises(DataError, match="RuntimeError: stopped"):  # in the check of the model
        attribute(model, PROMPTS[0], ANSWERS[0], steps=2)
    handle.remove()
    assert hooks(model) == before and model.config._attn_implementation == implementation
    assert all(p.requires_grad for p in model.parameters())
    expected = attribute(tiny_llama().model, PROMPTS[0], ANSWERS[0], steps=2)
    found = attribute(model, PROMPTS[0], ANSWERS[0], steps=2)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-12, atol=1e-16)
