"""Attribution files of one task to mean scores: all samples, and random halves of every size."""

from caploc.files.shards import completeness, dropped, scan
from caploc.jobs.job import Job
from caploc.stages._averages import AggregateScores, average

__all__ = ["run"]


def run(job: Job) -> None:
    """Average the samples of one task.

    Args:
        job: inputs ``shards``; output ``scores``.

    Raises:
        DataError: files that are damaged or do not belong together.
    """
    shards = scan(job.inputs["shards"])
    keys = [sample_id for shard in shards for sample_id in shard.sample_ids]
    metadata = {
        "dropped": dropped(shards),
        "completeness": completeness(shards) if keys else None,
        **{k: shards[0].metadata.get(k) for k in ("points", "weights", "site", "rule", "model")},
    }
    average(job, job.told(AggregateScores), shards, keys, range(len(keys)), metadata)
