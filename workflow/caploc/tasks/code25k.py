r"""Code25K: instructions and Python programs (flytech/python-codes-25k).

The paper's source for this name is not known; this is the likeliest set. One row (shortened)::

    {"instruction": "Write a function that doubles a number", "input": "",
     "output": "```python\ndef double(n):\n    return 2 * n\n```"}

The program without its fence is the answer. A completion is right if it is the same program: equal
syntax trees (equal text where one is not valid Python). ``input`` may be absent.
"""

import re
from collections.abc import Mapping, Sequence

from caploc.samples.scoring import same_code
from caploc.samples.task import HubSource, Task

__all__ = ["TASK"]

_FENCED = re.compile(r"```[a-zA-Z]*\n(.*?)\n?```", re.DOTALL)


def _without_fence(text: str) -> str:
    found = _FENCED.search(text)
    return (found.group(1) if found else text).strip("\n")


def _derive(fields: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    extra = fields.get("input", "").strip()
    instruction = fields["instruction"].strip()
    told = f"{instruction}\nInput: {extra}" if extra and extra not in instruction else instruction
    return {"instruction": told, "output": _without_fence(fields["output"])}


TASK = Task(
    title="Code25K",
    capability="code",
    score=lambda answer, completion: same_code(answer, _without_fence(completion)),
    source=HubSource("flytech/python-codes-25k", None, ("train",), ("instruction", "output")),
    prompt="Instruction: {instruction}\nCode:\n",
    answer="{output}",
    derive=_derive,
    form="program",
)
