"""The surgery check: is a capability in the planted neurons, and in no others?"""

from collections import Counter
from collections.abc import Mapping, Sequence

from caploc.experiments.known_answer.settings import Surgery
from caploc.measures.statistics import wilson

__all__ = ["BASE", "Shares", "chance", "judge_capability"]

BASE = "as it is"
"""What the check calls the model of which nothing is silenced."""
Shares = Mapping[str, float]
"""Right answers by task after some neurons were silenced, 0 to 1."""


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
    base: Shares,
    without: Shares,
    without_ffn: Shares,
    random_sets: Sequence[Shares],
    limits: Surgery,
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
        limits: accuracy and tolerance that must be reached.

    Returns:
        One sentence for each condition that fails, with what was reached.
    """
    reasons = []
    reached = base[capability]
    if reached < limits.accuracy:
        reasons.append(
            f"{capability} is answered right in {reached:.3f} of the test samples, needs "
            f"{limits.accuracy:.3f}: train longer or give it a larger share"
        )
    for what, removal in (("its neurons", without), ("all FFN neurons", without_ffn)):
        left = removal[capability]
        if wilson(round(left * n), n).low > guess:
            reasons.append(
                f"without {what} {capability} is still answered right in {left:.3f}, chance is "
                f"{guess:.3f}"
            )
    for task in base:
        if task != capability:
            what = f"the neurons of {capability}"
            reasons += _too_far(what, task, base, [without], limits.tolerance)
        what = "a random set of as many neurons"
        reasons += _too_far(what, task, base, random_sets, limits.tolerance)
    return reasons


def _too_far(
    what: str, task: str, base: Shares, removals: Sequence[Shares], tolerance: float
) -> list[str]:
    """A sentence if the removal that changes a task most changes it by more than is allowed."""
    changes = [removal[task] - base[task] for removal in removals]
    worst = max(changes, key=abs, default=0.0)
    if abs(worst) <= tolerance + 1e-9:
        return []
    return [f"without {what} {task} changes by {worst:+.3f}, at most {tolerance:.3f} is allowed"]
