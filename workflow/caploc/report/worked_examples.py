"""A few prompts of the run with what they located: the paper's frameworks are drawn from these.

Its Figure 1 (fidelity and reliability): one fact, asked in two ways, located twice. Its Figure 2
(decoupling): one text under two tasks, beside another text. The example is the first of the run
that can be shown; the sections' tables have the means over all.
"""

from typing import Any

import polars as pl

__all__ = ["beside_the_first"]


def beside_the_first(prompts: pl.DataFrame) -> list[dict[str, Any]]:
    """What prompts located, compared with what the first of them located.

    Args:
        prompts: ``what`` (relation to the first prompt, in words), ``prompt``, its text, and
            ``units``, list of what it located, not empty.

    Returns:
        Of each, ``what``, ``prompt``, ``n_units``, ``n_common`` (also located by the first prompt)
        and ``share``, the latter over the mean size of both sets (0-1).
    """
    units, size = pl.col("units"), pl.col("units").list.len()
    common = units.list.set_intersection(units.first()).list.len()
    found = prompts.with_columns(n_units=size, n_common=common)
    share = 2 * pl.col("n_common") / (pl.col("n_units") + pl.col("n_units").first())
    return found.select("what", "prompt", "n_units", "n_common", share=share).to_dicts()
