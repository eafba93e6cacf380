"""One file per data set: rows to samples, and an answer to a score, as ``TASK: _task.Task``."""
