"""docs/families.md: `make families`. Every line says what a model of random weights does."""

import re
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

import torch
import transformers
from tiny_architectures import (
    ARCHITECTURES,
    CONFIG_MAPPING,
    DECLARED,
    in_float64,
    tiny_architecture,
)
from torch import nn

from caploc.attribution.injection import SITES
from caploc.attribution.model_check import check_model
from caploc.locators._block_calls import check_repeated, record_rows
from caploc.locators.circuit import graph_of
from caploc.models.language_model import LanguageModel, wrap_model
from caploc.models.recognition import looks_like
from caploc.records import DataError

HEAD = """# Families of models

Written by `make families` for transformers {version}; a test compares every line with what the code
does. {supported} of {all} architectures that predict the next token are supported.

An architecture stands here because a random model of it was scored and compared with the definition
(whole forward passes, autograd, float64): 1e-9 of the largest score, both sites, answers of one and
several tokens. When a model is loaded, the engine compares its shortcuts with the model itself once
more; what does not agree is refused with the reason.

## Supported

`family` is what a configuration says. Neurons: "experts" are units of the routed experts, of those
chosen for a token; an expert that every token has (shared) is left as it is. Where the first layers
have a plain FFN, its neurons come first in their rows and the rest, which does not exist, is 0.
Circuits need separate projections of query, key and value and a residual stream that is the plain
sum of what heads and FFNs write. Tracing needs a block that can be run again from a token on. Where
a column says no, asking for it ends with an error that says why.

| architecture | family | neurons | circuits | tracing |
|---|---|---|---|---|
{lines}
## Refused

An architecture that looks like a family can be tried under its name (`family:` in the
configuration); these were, with the result that is given. [Adding a family](adding-a-family.md) is
one small file.

| architecture | why |
|---|---|
{refused}"""


def supported(name: str, lm: LanguageModel) -> str:
    """Line of an architecture that a family names; the model is checked."""
    for site in SITES:
        check_model(lm, site)
    neurons = "experts" if lm.family.experts else "FFN"
    can = ["yes" if works(lm) else "no" for works in (_circuits, _tracing)]
    return f"| {name} | `{lm.family.name}` | {neurons} | {' | '.join(can)} |"


def _circuits(lm: LanguageModel) -> bool:
    with suppress(DataError):
        return bool(graph_of(lm).n_edges)
    return False


def _tracing(lm: LanguageModel) -> bool:
    embed = lm.model.get_input_embeddings()
    with suppress(DataError):
        recorded = record_rows(lm, embed(torch.arange(12).view(2, 6)), "tracing")
        check_repeated(lm, recorded, "tracing")
        return True
    return False


def refused(name: str) -> str:
    """Line of an architecture that no family names: what happens if it is tried."""
    return f"| {name} | {_reason(name)} |"


def _reason(name: str) -> str:
    small = True
    try:
        model = tiny_architecture(name)
    except Exception:
        small, model = False, _of_any_size(name)
    if model is None:
        return "no small model of it can be made here, so it was not tried"
    family = looks_like(model)
    if family is None:
        return _parts(model)
    if not small:
        return f"looks like `{family.name}`; no small model of it can be made here to try"
    try:
        lm = wrap_model(model, None, family.name)
        for site in SITES:
            check_model(lm, site)
    except DataError as error:
        reason = str(error).partition(": ")[2].partition(";")[0]
        return f"tried as `{family.name}`: {re.sub(r'-[0-9]{9,}', '', reason)}"
    return f"PASSES as `{family.name}`: name it there"


def _of_any_size(name: str) -> Any:
    with suppress(Exception), torch.device("meta"):
        cls: Any = getattr(transformers, name)
        return cls((cls.config_class or CONFIG_MAPPING[ARCHITECTURES[name]])())
    return None


def _parts(model: Any) -> str:
    """What the blocks of a model consist of."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m)]
    if not lists:
        return "no list of blocks"
    block = max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))[0]
    kinds = Counter(type(child).__name__ for child in block.children())
    return f"blocks ({type(block).__name__}: {', '.join(kinds)}) like those of no family"


def page() -> str:
    """The whole page."""
    with in_float64():
        lines = {
            name: supported(name, wrap_model(tiny_architecture(name)))
            if name in DECLARED
            else refused(name)
            for name in sorted(ARCHITECTURES, key=str.lower)
        }
    known = [line for name, line in lines.items() if name in DECLARED]
    other = [line for name, line in lines.items() if name not in DECLARED]
    return HEAD.format(
        version=transformers.__version__, supported=len(known), all=len(lines),
        lines="".join(f"{line}\n" for line in known),
        refused="".join(f"{line}\n" for line in other),
    )  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(page())
