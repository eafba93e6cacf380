r"""MetaMathQA: rephrased and reversed mathematics questions (meta-math/MetaMathQA).

One row (shortened)::

    {"type": "GSM_FOBAR", "query": "Josh buys a house for $x ... what is the value of x?",
     "response": "... x = 80000\nThe value of x is 80000.\n#### 80000\nThe answer is: 80000"}

The whole response is the answer; what follows its last ``The answer is`` (without one: its last
``The value of x is``) is scored, as a number where both are numbers. If a column ``expected`` is
given (by `columns`), rows whose response ends in another result are dropped: generated chains of
thought can be wrong.
"""

import re
from collections.abc import Mapping, Sequence

from caploc.records import Dropped
from caploc.samples.scoring import number, same_text
from caploc.samples.task import HubSource, Task

__all__ = ["TASK"]

_ANSWER = re.compile(r"the answer is:?", re.IGNORECASE)
_VALUE = re.compile(r"the value of (?:the )?(?:unknown variable )?\S+ is:?", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[\s$]*-?[\d.,/$]*\d[\s.%]*")


def _result(text: str) -> str | None:
    found = list(_ANSWER.finditer(text)) or list(_VALUE.finditer(text))
    if not found:
        return None
    line = text[found[-1].end() :].split("\n", 1)[0]
    return line.strip().rstrip(".").strip() or None


def _same(first: str, second: str) -> bool:
    if _PLAIN_NUMBER.fullmatch(first) and _PLAIN_NUMBER.fullmatch(second):
        return number(first) == number(second)
    return same_text(first, second)


def _derive(fields: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    result = _result(fields["response"])
    if result is None:
        raise Dropped("no result after 'The answer is'")
    if "expected" in fields and not _same(fields["expected"], result):
        raise Dropped("the chain of thought ends in another result")
    return {"meta_result": result}


def _score(answer: str, completion: str) -> bool:
    gold, given = _result(answer), _result(completion)
    return gold is not None and given is not None and _same(gold, given)


TASK = Task(
    title="MetaMathQA",
    capability="mathematics",
    score=_score,
    source=HubSource("meta-math/MetaMathQA", None, ("train",), ("query", "response")),
    prompt="Question: {query}\nAnswer:",
    answer=" {response}",
    derive=_derive,
    form="number",
)
