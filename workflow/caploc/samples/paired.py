"""Tasks whose samples come in pairs: one main part, two questions about it.

A sample of such a task names in ``meta``: ``main``, the part that stays; ``part``, which of the two
sub-tasks is asked (``1`` or ``2``); ``form``, in which of two ways (``0`` or ``1``). The forms of a
sub-task are needed to compare prompts with the same main part and the same task: one of them would
be compared with itself.
"""

from collections.abc import Mapping

from caploc.samples.splits import prompt_digest

__all__ = ["FORMS", "PARTS", "held_out_by_main"]

PARTS = ("1", "2")
FORMS = ("0", "1")


def held_out_by_main(prompt: str, meta: Mapping[str, str]) -> bool:
    """Keep a main part from training whatever is asked about it."""
    return int(prompt_digest(meta["main"])[0], 16) % 2 == 0
