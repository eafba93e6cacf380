r"""Your own data, without code: templates over the columns of your files.

In the config::

    tasks:
      mine: {plugin: generic, files: mine.jsonl, prompt: "Q: {question}\nA:", answer: " {answer}"}

An answer counts as right if it equals the gold answer up to case, spacing and a final full stop.
"""

from caploc.samples.scoring import same_text
from caploc.samples.task import Task

__all__ = ["TASK"]

TASK = Task(title="Own data", capability="text", score=same_text)
