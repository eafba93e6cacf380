"""Invented word problems in which the result is stated and an earlier number is asked.

One sample (prompt, then answer)::

    Mia had some apples, found 5. Now Mia has 12 apples. How many apples did Mia have at first?
    Answer:
     12 - 5 = 7
    #### 7
"""

import random

from caploc.samples.scoring import same_marked_number
from caploc.samples.task import Answered, Task
from caploc.tasks._world import held_out_by_story, tell

__all__ = ["TASK"]


def _generate(rng: random.Random) -> Answered:
    story = tell(rng)
    told = (
        f"{story.name} had some {story.things}, {story.changes()}. "
        f"Now {story.name} has {story.amounts[-1]} {story.things}."
    )
    question = f"How many {story.things} did {story.name} have at first?"
    lines = []
    for after, (_, change) in zip(story.amounts[:0:-1], reversed(story.events), strict=True):
        sign = "-" if change > 0 else "+"
        lines.append(f"{after} {sign} {abs(change)} = {after - change}")
    answer = " " + "\n".join([*lines, f"#### {story.start}"])
    meta = {"story": story.text(), "number": str(story.start), "steps": str(len(story.events))}
    return f"{told} {question}\nAnswer:", answer, meta


TASK = Task(
    title="Backward problems",
    capability="mathematics",
    score=same_marked_number,
    generate=_generate,
    is_held_out=held_out_by_story,
    form="number",
)
