"""Questions about a number that an invented story states: no computing.

The stories, and all their words, are those of `word_problems`; only the question differs. One
sample (prompt, then answer)::

    Mia had 7 apples, found 5. How many apples were found?
    Answer:
     5
    #### 5
"""

import random

from caploc.samples.scoring import same_marked_number
from caploc.samples.task import Answered, Task
from caploc.tasks._world import held_out_by_story, tell

__all__ = ["TASK"]


def _generate(rng: random.Random) -> Answered:
    # First the story: an equal generator tells the same one in `word_problems`.
    story = tell(rng)
    asked = rng.randrange(len(story.events) + 1)
    if asked == 0:
        question = f"How many {story.things} did {story.name} have at first?"
        number = story.start
    else:
        verb, change = story.events[asked - 1]
        question = f"How many {story.things} were {verb}?"
        number = abs(change)
    meta = {"story": story.text(), "number": str(number), "asked": str(asked)}
    return f"{story.text()} {question}\nAnswer:", f" {number}\n#### {number}", meta


TASK = Task(
    title="Story lookup",
    capability="extraction",
    score=same_marked_number,
    generate=_generate,
    is_held_out=held_out_by_story,
)
