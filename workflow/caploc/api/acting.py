"""Silence, scale or replace located neurons while something runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caploc.api.located import Neurons, mask_of
from caploc.attribution.public import untouched
from caploc.forward.hooks import Hooks
from caploc.models.language_model import LanguageModel

__all__ = ["replaced_by_mean", "scaled", "silenced"]

Sets = Neurons | Sequence[Neurons | None]


@contextmanager
def silenced(model: Any, located: Sets) -> Iterator[None]:
    """While inside, located neurons are 0 at every position: also around ``generate``.

    Args:
        model: transformers decoder.
        located: `Located` or a (layer, neuron) mask; or one for each row of the batch, None where
            a row stays as it is.

    Raises:
        DataError: a mask of another shape, or a model that caploc does not know.
        ValueError: a batch of another size than the list of masks.

    Example:
        >>> ids = tokenizer(["a b =", "c d ="], return_tensors="pt").input_ids
        >>> plain = model(ids).logits
        >>> with caploc.silenced(model, [found, None]):
        ...     silent = model(ids).logits
        >>> [bool((silent[row] == plain[row]).all()) for row in (0, 1)]
        [False, True]
    """
    with _acting(model, located, lambda layer, x: torch.zeros_like(x)):
        yield


@contextmanager
def scaled(model: Any, located: Sets, factor: float) -> Iterator[None]:
    """While inside, located neurons are multiplied by a factor; otherwise as `silenced`.

    Example:
        >>> with caploc.scaled(model, found, 2.0):
        ...     louder = caploc.evaluate(model, tokenizer, pairs)
    """
    with _acting(model, located, lambda layer, x: x * factor):
        yield


@contextmanager
def replaced_by_mean(model: Any, located: Sets, means: NDArray[np.floating]) -> Iterator[None]:
    """While inside, located neurons have fixed values; otherwise as `silenced`.

    Args:
        model: transformers decoder.
        located: as in `silenced`.
        means: (layer, neuron) values, e.g. mean activations over neutral text.

    Example:
        >>> with caploc.replaced_by_mean(model, found, 0 * found.mean):
        ...     replaced = caploc.evaluate(model, tokenizer, pairs)
    """
    values = torch.as_tensor(np.asarray(means))

    def put(layer: int, x: Tensor) -> Tensor:
        return values[layer].to(x).expand_as(x)

    with _acting(model, located, put):
        yield


@contextmanager
def _acting(model: Any, located: Sets, change: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    """Change the located neurons of whatever runs inside."""
    several = isinstance(located, Sequence)
    with untouched(model) as lm, Hooks() as hooks:
        nothing = np.zeros((lm.n_layers, lm.n_neurons), dtype=np.bool_)
        given = located if isinstance(located, Sequence) else [located]
        masks = [nothing if one is None else mask_of(one, lm) for one in given]
        grids = torch.from_numpy(np.stack(masks))
        size = _batch_size(lm, hooks) if several else lambda: 1

        def hook(layer: int) -> Callable[..., Any]:
            def act(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                # Some families flatten rows and positions in front of the FFN.
                n_rows = size()
                x = args[0].reshape(n_rows, -1, args[0].shape[-1])
                if several and n_rows != len(masks):
                    raise ValueError(f"{n_rows} rows run, but there are {len(masks)} masks")
                where = grids[:, layer].to(x.device)[:, None]
                return (torch.where(where, change(layer, x), x).view_as(args[0]), *args[1:])

            return act

        for layer, projection in enumerate(lm.projections):
            if grids[:, layer].any():
                hooks.before(projection, hook(layer))
        yield


def _batch_size(lm: LanguageModel, hooks: Hooks) -> Callable[[], int]:
    """Rows of the batch that runs, seen in front of the model."""
    seen: list[int] = []

    def look(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [*args, kwargs.get("input_ids"), kwargs.get("inputs_embeds")]
        seen[:] = [len(next(x for x in given if isinstance(x, Tensor)))]

    hooks.before(lm.model, look, with_kwargs=True)
    return lambda: seen[0]
