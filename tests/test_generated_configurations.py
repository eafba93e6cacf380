"""500 configurations, mutated from the shipped ones: refused in one line, or planned.

Everything that Snakemake asks of a configuration before a job starts is asked here, in one process.
"""

import copy
import datetime
import random
import resource
import time

import all_jobs
import pytest
from configs import REPOSITORY, merged, read_config

from caploc import plugins
from caploc.config import check
from caploc.estimate.whole import stages
from caploc.jobs.run import Run
from caploc.records import DataError

N = 500
SECONDS, MEGABYTES = 10, 500
SHIPPED = [read_config("config.yaml")] + [
    merged(read_config("config.yaml"), read_config(f"config/{path.name}"))
    for path in sorted((REPOSITORY / "config").glob("*.yaml"))
]
STRANGE = [
    None, True, False, "", " ", "x" * 300, "a\nb", "../../up", "/dev/zero", "no", "1e-4", "$(x)",
    "{x:>2000000000}", "{", "a\u2028b", "a\a", "\ud800", "=1+1", "cuda:99", "mixture",
    "hf_" + "a" * 40, -1, 0, 1, 3, 10**4, 2**31 - 1, 2**31, 2**64, 10**12, 10**5_000, -0.0, 0.5,
    5.0, 1e-300, 1e308,
    float("nan"), float("inf"), [], {}, [[]], [None], [1, "a", {}], {"a": {"a": {"a": 1}}}, {1: 2},
    ["a"] * 5_000, ["a", "a"], b"bytes", datetime.date(2026, 1, 1), {"set"},
]  # fmt: skip


def places(value, where=()):
    """Every place of a configuration: keys and indices."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(inner):
        yield (*where, key)
        if isinstance(item, dict | list):
            yield from places(item, (*where, key))


def at(config, where):
    for key in where:
        config = config[key]
    return config


def mutated(draw):
    """A shipped configuration with one to three changes."""
    config = copy.deepcopy(draw.choice(SHIPPED))
    for _ in range(draw.choice([1, 1, 2, 3])):
        everywhere = list(places(config))
        *parents, key = draw.choice(everywhere)
        parent, value = at(config, parents), at(config, [*parents, key])
        match draw.randrange(7):
            case 0 | 1:
                parent[key] = copy.deepcopy(draw.choice(STRANGE))
            case 2:
                parent[key] = copy.deepcopy(at(config, draw.choice(everywhere)))
            case 3:
                del parent[key]
            case 4 if isinstance(parent, dict):
                parent[draw.choice(["new", "a b", "Z", "../x", "é", "__use_yte__"])] = value
            case 5:
                parent[key] = [value, value]
            case _ if isinstance(value, int | float):
                parent[key] = value * draw.choice([-1, 0, 7, 1_000, 10**6, 10**9, 0.5])
            case _:
                parent[key] = {"a": value}
    return config


def planned(config):
    """What happens before the first job: checks, files, settings of every job, the estimate."""
    filled = check(config)
    plan = Run(filled)
    for asked in (plan.all_shards, plan.all_masks, plan.all_scores, plan.all_agreement,
                  plan.page_inputs, plan.shown):  # fmt: skip
        asked()
    # What an experiment is told counts where it runs; two of them have facts.
    rooms = {name: module.split(".") for name, module in plugins.stages().items()}
    run = set(plan.settings["experiments"])
    for stage, wildcards in all_jobs.jobs(plan):
        mine = rooms[stage][1] == "stages" or rooms[stage][2] in run
        if mine and ("facts" not in wildcards or run & {"fidelity", "reliability"}):
            plan.spec(stage, **wildcards)
    stages(plan)


@pytest.mark.parametrize("seed", range(5))
def test_generated_configurations_end_in_one_line_or_a_plan(seed):
    draw = random.Random(seed)
    refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(N // 5):
        config = mutated(draw)
        started = time.process_time()
        try:
            planned(config)
        except DataError as error:
            told = str(error)
            assert "\n" not in told and len(told) < 1_500, told
            refused += 1
        assert time.process_time() - started < SECONDS
    assert N // 20 < refused < N // 5 - N // 100  # neither are all of them nonsense
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024
