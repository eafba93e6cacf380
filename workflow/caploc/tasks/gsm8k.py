r"""GSM8K: grade-school word problems with worked solutions (openai/gsm8k, `main`).

One row::

    {"question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many
    clips in May. How many clips did Natalia sell altogether in April and May?",
     "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 =
    <<48+24=72>>72 clips altogether in April and May.\n#### 72"}

The whole solution is the answer. It is scored strictly: the number after ``####`` must be equal.
"""

from collections.abc import Mapping, Sequence

from caploc.records import Dropped
from caploc.samples.scoring import marked_number, same_marked_number
from caploc.samples.task import HubSource, Task

__all__ = ["TASK"]


def _derive(fields: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    result = marked_number(fields["answer"])
    if result is None:
        raise Dropped("no number after ####")
    return {"meta_number": str(result)}


TASK = Task(
    title="GSM8K",
    capability="mathematics",
    score=same_marked_number,
    source=HubSource("openai/gsm8k", "main", ("train", "test"), ("question", "answer")),
    prompt="Question: {question}\nAnswer:",
    answer=" {answer}",
    derive=_derive,
    form="number",
)
