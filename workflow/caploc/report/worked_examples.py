"""A prompt with what it located: the paper's frameworks are drawn from worked examples of the run.

Its Figure 1 (fidelity and reliability): one fact, asked in two ways, located twice. Its Figure 2
(decoupling): one text under two tasks, beside another text. The example is the first of the run
that can be shown; the sections' tables have the means over all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Located", "located"]


@dataclass(frozen=True, slots=True)
class Located:
    """A prompt with what it located, beside the prompt that the example starts from.

    Attributes:
        what: relation to the first prompt, in words; empty for the first one.
        prompt: its text.
        n_units: located units.
        n_common: of these, also located by the first prompt.
        share: `n_common` over the mean size of both sets (0-1).
    """

    what: str
    prompt: str
    n_units: int
    n_common: int
    share: float


def located(what: str, prompt: str, units: Sequence[int], first: Sequence[int]) -> Located:
    """Compare what a prompt located, `units`, with the units of the first prompt; neither empty."""
    common = len(set(units) & set(first))
    return Located(what, prompt, len(units), common, 2 * common / (len(units) + len(first)))
