"""Large tensors of the stages that score lie on huge pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caploc.attribution.memory import use_huge_pages

MIB = 2**20
_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# A stage asks for its first input before it makes a tensor; here it gets 64 MiB to fill instead.
FAULTS = f"""
import collections, importlib, resource, sys, types
import torch

def fill(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros({64 * MIB}, dtype=torch.uint8)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    sys.exit()

stage = importlib.import_module("caploc.stages." + sys.argv[1])
told = lambda kind: types.SimpleNamespace(**dict.fromkeys(kind.__dataclass_fields__, 0))
spec = collections.defaultdict(int)
stage.run(types.SimpleNamespace(threads=1, spec=spec, told=told, input=fill))
"""


def faults(stage, **environment):
    """Page faults of filling 64 MiB in a stage, in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-c", FAULTS, stage], capture_output=True, text=True, check=True,
        env={k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"} | environment,
    )  # fmt: skip
    return int(found.stdout)


@pytest.mark.skipif(
    not _ENABLED.is_file() or "[madvise]" not in _ENABLED.read_text(),
    reason="huge pages are not given to those who ask, and to no others, here",
)
@pytest.mark.parametrize("stage", ["attribute_shard", "score_converged"])
def test_the_stages_that_score_take_huge_pages(stage):
    small = 64 * MIB // os.sysconf("SC_PAGE_SIZE")
    assert faults(stage, THP_MEM_ALLOC_ENABLE="0") > 0.9 * small
    assert faults(stage) < 0.9 * small


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    use_huge_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
