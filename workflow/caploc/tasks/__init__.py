"""One file a data set: rows to samples, answers to scores; ``TASK: caploc.samples.task.Task``."""
