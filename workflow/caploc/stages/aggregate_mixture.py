"""Attribution files of all tasks to the mean scores of a mixture: the reference for agreement.

The mixture has as many samples as the smallest task, drawn in equal numbers (up to one) from every
task, so that its halves compare with those of a single task. Tasks with too few samples are left
out and named in the metadata.
"""

from collections import defaultdict
from dataclasses import dataclass

from caploc.files.scores import write_not_computed
from caploc.files.shards import scan
from caploc.jobs.job import Job
from caploc.measures.means import hash_order
from caploc.stages._averages import AggregateScores, average

__all__ = ["AggregateMixture", "run"]


@dataclass(frozen=True, slots=True)
class AggregateMixture(AggregateScores):
    """Average a mixture of tasks.

    Attributes:
        task: `mixture`
        tasks: ids
    """

    tasks: tuple[str, ...] = ()


def run(job: Job) -> None:
    """Average a seeded random mixture of the tasks.

    Args:
        job: inputs ``shards`` of all tasks; output ``scores``.

    Raises:
        DataError: files that are damaged or do not belong together.
    """
    told = job.told(AggregateMixture)
    shards = scan(job.inputs["shards"])
    keys: list[str] = []
    members: dict[str, list[int]] = defaultdict(list)
    for shard in shards:
        for sample_id in shard.sample_ids:
            members[shard.task].append(len(keys))
            keys.append(f"{shard.task}/{sample_id}")
    least = max(2, told.min_samples)
    sizes = {shard.task: len(members[shard.task]) for shard in shards}
    enough = [task for task, size in sizes.items() if size >= least]
    left_out = {task: size for task, size in sizes.items() if size < least}
    metadata = {"left_out": left_out, "dropped": 0, "completeness": None}
    if len(enough) < 2:
        reason = f"tasks with enough samples = {len(enough)}, needs 2"
        metadata |= {"origin": job.origin(), "n_samples": 0}
        write_not_computed(job.outputs["scores"], shards[0].n_neurons, reason, metadata)
        return
    total = min(sizes[task] for task in enough)
    chosen: list[int] = []
    shares: dict[str, int] = {}
    for position, task in enumerate(enough):
        shares[task] = total // len(enough) + (position < total % len(enough))
        order = hash_order([keys[i] for i in members[task]], f"{told.seed}/mixture")
        chosen += [members[task][i] for i in order[: shares[task]]]
    average(job, told, shards, keys, sorted(chosen), metadata | {"tasks": shares})
