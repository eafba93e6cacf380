"""Large tensors of the stages that score lie on huge pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caploc.attribution.memory import use_huge_pages

MIB = 2**20
_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# What a stage has imported when it calls: nothing of it may have made a tensor.
FAULTS = f"""
import resource
from caploc.attribution import memory
from caploc.stages import attribute_shard, score_converged
memory.use_huge_pages()
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.zeros({64 * MIB}, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment):
    """Page faults of filling 64 MiB, in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True,
        env={k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"} | environment,
    )  # fmt: skip
    return int(found.stdout)


@pytest.mark.skipif(
    not _ENABLED.is_file() or "[never]" in _ENABLED.read_text(), reason="no huge pages here"
)
def test_the_stages_that_score_take_huge_pages():
    small = 64 * MIB // os.sysconf("SC_PAGE_SIZE")
    assert faults(THP_MEM_ALLOC_ENABLE="0") > 0.9 * small
    assert faults() < 0.9 * small


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    use_huge_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
