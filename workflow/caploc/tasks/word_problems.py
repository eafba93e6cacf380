"""Invented word problems of one or two steps: compute what somebody has in the end.

One sample (prompt, then answer)::

    Mia had 7 apples, found 5. How many apples does Mia have now?
    Answer:
     7 + 5 = 12
    #### 12

`story_lookup` asks for a stated number of the same stories.
"""

import random

from caploc.samples.scoring import same_marked_number
from caploc.samples.task import Answered, Task
from caploc.tasks._world import held_out_by_story, tell

__all__ = ["TASK"]


def _generate(rng: random.Random) -> Answered:
    story = tell(rng)
    question = f"How many {story.things} does {story.name} have now?"
    meta = {"story": story.text(), "number": str(story.amounts[-1])}
    meta["steps"] = str(len(story.events))
    return f"{story.text()} {question}\nAnswer:", story.steps(), meta


TASK = Task(
    title="Word problems",
    capability="mathematics",
    score=same_marked_number,
    generate=_generate,
    is_held_out=held_out_by_story,
    form="number",
)
