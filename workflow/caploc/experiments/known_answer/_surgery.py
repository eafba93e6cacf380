"""The surgery check: is a capability in the planted neurons, and in no others?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from caploc.measures.statistics import wilson

__all__ = ["Limits", "Removal", "chance", "judge_capability"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a planted model must reach.

    Attributes:
        accuracy: least share of right answers to the planted capability.
        tolerance: most by which another task may change, as a share of the answers.
    """

    accuracy: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Removal:
    """Right answers by task after some neurons were silenced, 0 to 1."""

    accuracy: Mapping[str, float]


def chance(answers: Sequence[str]) -> float:
    """Share of right answers of the best constant guess: that of the most frequent answer.

    Raises:
        ValueError: no answers.
    """
    if not answers:
        raise ValueError("chance needs at least one answer")
    return Counter(answers).most_common(1)[0][1] / len(answers)


def judge_capability(
    capability: str,
    n: int,
    guess: float,
    base: Removal,
    without: Removal,
    without_ffn: Removal,
    random_sets: Sequence[Removal],
    limits: Limits,
) -> list[str]:
    """Why a planted capability cannot be used; nothing where it can.

    At chance means: the interval (Wilson, 95 %) of the share of right answers reaches down to the
    best constant guess.

    Args:
        capability: task id.
        n: its test samples.
        guess: its `chance`.
        base: the model as it is.
        without: its planted neurons silenced, copies included.
        without_ffn: all FFN neurons silenced.
        random_sets: as many neurons of each layer silenced, among those without a role.
        limits: what must be reached.

    Returns:
        One sentence for each condition that fails, with what was reached.
    """
    reasons = []
    reached = base.accuracy[capability]
    if reached < limits.accuracy:
        reasons.append(
            f"{capability} is answered right in {reached:.3f} of the test samples, needs "
            f"{limits.accuracy:.3f}: train longer or give it a larger share"
        )
    for what, removal in (("its neurons", without), ("all FFN neurons", without_ffn)):
        left = removal.accuracy[capability]
        if wilson(round(left * n), n).low > guess:
            reasons.append(
                f"without {what} {capability} is still answered right in {left:.3f}, chance is "
                f"{guess:.3f}"
            )
    for task in base.accuracy:
        if task != capability:
            what = f"the neurons of {capability}"
            reasons += _too_far(what, task, base, [without], limits.tolerance)
        what = "a random set of as many neurons"
        reasons += _too_far(what, task, base, random_sets, limits.tolerance)
    return reasons


def _too_far(
    what: str, task: str, base: Removal, removals: Sequence[Removal], tolerance: float
) -> list[str]:
    """A sentence if the removal that changes a task most changes it by more than is allowed."""
    changes = [removal.accuracy[task] - base.accuracy[task] for removal in removals]
    worst = max(changes, key=abs, default=0.0)
    if abs(worst) <= tolerance + 1e-9:
        return []
    return [f"without {what} {task} changes by {worst:+.3f}, at most {tolerance:.3f} is allowed"]
