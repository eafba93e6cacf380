"""What must not grow: the time of a dry run beyond its jobs, memory with shards and samples.

benchmarks/load.py measures the same, larger and alone on the machine.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import load

pytestmark = pytest.mark.workflow


def test_a_graph_of_three_thousand_jobs_is_planned_in_seconds(tmp_path):
    """Processor time, because tests share a machine; 6 s alone is what load.py holds it to."""
    workflow, jobs = load.large_graph(tmp_path / "many")
    assert 2_900 < jobs < 3_200
    best = min(load.dry_run(workflow, "--quiet", "all")[2] for _ in range(2))
    assert best < 15.0


def test_memory_does_not_grow_with_the_number_of_shards(tmp_path):
    memory = load.shard_memory(tmp_path, 60)
    assert max(memory[40:]) < max(memory[:20]) + 5.0


def test_memory_of_means_is_bounded(tmp_path):
    """Names of samples stay in memory, scores do not: 51 MB of them here."""
    _, few = load.aggregation_memory(tmp_path, 10_000)
    _, many = load.aggregation_memory(tmp_path, 100_000)
    assert many < few + 120
    assert many < 400
