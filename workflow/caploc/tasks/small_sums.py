"""Sums of two small numbers.

One sample (prompt, then answer)::

    3 + 4 -> 7
    ...
    8 + 5 ->
     13
"""

from caploc.tasks._few_shot import few_shot_task

__all__ = ["TASK"]

TASK = few_shot_task(
    "Small sums",
    "mathematics",
    lambda: [(f"{a} + {b}", str(a + b)) for a in range(1, 21) for b in range(1, 21)],
)
