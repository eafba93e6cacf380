"""Hooks on the parts of a model while something runs: to see neurons, or to put others in place."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from caploc.models.language_model import LanguageModel

__all__ = ["Hooks", "neurons_passed", "recorded_neurons"]


class Hooks(ExitStack):
    """Hooks that are gone when the ``with`` ends, also after an error."""

    def before(
        self, module: nn.Module, act: Callable[..., Any], *, with_kwargs: bool = False
    ) -> None:
        """Call ``act(module, args)`` in front of a module; what it returns replaces the input."""
        self.enter_context(module.register_forward_pre_hook(act, with_kwargs=with_kwargs))

    def after(self, module: nn.Module, act: Callable[..., Any]) -> None:
        """Call ``act(module, args, output)`` behind it; what it returns replaces the output."""
        self.enter_context(module.register_forward_hook(act))


@contextmanager
def neurons_passed(
    lm: LanguageModel,
    n_rows: int,
    act: Callable[[int, Tensor], Tensor | None],
    layers: Sequence[int] | None = None,
) -> Iterator[None]:
    """Pass the neurons of whatever runs inside through a function.

    Args:
        lm: the model.
        n_rows: rows of the batch that runs.
        act: ``act(layer, w)`` sees the neurons w (row, position, neuron) of a layer, which are the
            input of the FFN's output projection; what it returns replaces them, None leaves them.
        layers: where; None means everywhere.
    """

    def hook(layer: int) -> Callable[..., Any]:
        def pass_on(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            # Some families flatten rows and positions in front of the FFN.
            found = act(layer, args[0].reshape(n_rows, -1, args[0].shape[-1]))
            return None if found is None else (found.view_as(args[0]), *args[1:])

        return pass_on

    projections = lm.projections
    with Hooks() as hooks:
        for layer in range(lm.n_layers) if layers is None else layers:
            hooks.before(projections[layer], hook(layer))
        yield


@torch.no_grad()
def recorded_neurons(
    lm: LanguageModel, ids: Tensor, layers: Sequence[int] | None = None, at: Any = ...
) -> list[Tensor]:
    """Neurons while the model reads token ids.

    Args:
        lm: the model.
        ids: (row, position) token ids.
        layers: of which layers, ascending; None means all.
        at: index into (row, position, neuron) of what is kept; everything if left out.

    Returns:
        Per layer (row, position, neuron), or what `at` picks of it.
    """
    seen: list[Tensor] = []
    with neurons_passed(lm, len(ids), lambda _, w: seen.append(w[at].clone()), layers):
        lm.model.base_model(input_ids=ids, use_cache=False)
    return seen
