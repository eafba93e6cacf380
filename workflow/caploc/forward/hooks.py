"""Hooks on the parts of a model while something runs: to see neurons, or to put others in place."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from caploc.models.language_model import LanguageModel

__all__ = ["Hooks", "inputs_passed", "neurons_passed", "recorded_neurons"]


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
def inputs_passed(
    modules: Mapping[int, nn.Module], n_rows: int, act: Callable[[int, Tensor], Tensor | None]
) -> Iterator[None]:
    """Pass what modules read, of whatever runs inside, through a function.

    Args:
        modules: one of each layer where to act, by the index of the layer.
        n_rows: rows of the batch that runs.
        act: ``act(layer, x)`` sees the input x (row, position, width) of a module; what it returns
            replaces it, None leaves it.
    """

    def hook(layer: int) -> Callable[..., Any]:
        def pass_on(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            # Some families flatten rows and positions in front of the FFN.
            found = act(layer, args[0].reshape(n_rows, -1, args[0].shape[-1]))
            return None if found is None else (found.view_as(args[0]), *args[1:])

        return pass_on

    with Hooks() as hooks:
        for layer, module in modules.items():
            hooks.before(module, hook(layer))
        yield


def neurons_passed(
    lm: LanguageModel,
    n_rows: int,
    act: Callable[[int, Tensor], Tensor | None],
    layers: Iterable[int] | None = None,
) -> AbstractContextManager[None]:
    """`inputs_passed` of the FFN's output projections: what they read are the neurons.

    Args:
        lm: the model.
        n_rows: rows of the batch that runs.
        act: ``act(layer, w)`` sees the neurons w (row, position, neuron) of a layer.
        layers: where; None means everywhere.
    """
    projections = lm.projections
    chosen = range(lm.n_layers) if layers is None else layers
    return inputs_passed({layer: projections[layer] for layer in chosen}, n_rows, act)


@torch.no_grad()
def recorded_neurons(
    lm: LanguageModel, ids: Tensor, layers: Iterable[int] | None = None, at: Any = ...
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
