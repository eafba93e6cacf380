"""Say what a run would take, before it takes anything: jobs, operations, hours, memory, disk.

    caploc plan config/llama2-7b.yaml --device h100
    caploc plan                                        the default run, on one processor thread

The configuration is laid over config.yaml, as Snakemake does. No network, no model: sizes come from
the key `shape` of a model, or config.json of its folder. Rows of local files are counted. Lengths
of samples come from the run where it has them, from the key `tokens` of a task, from local files,
or from a table of typical lengths; `--json` says which.
"""

import argparse
import copy
import json
import sys
from pathlib import Path
from typing import Any

from caploc.configfiles import read_files
from caploc.estimate.devices import DEVICES, Device, device_named
from caploc.estimate.lengths import lengths_of_text
from caploc.estimate.passes import of_plan
from caploc.estimate.whole import Lever, levers, measured, stages, together
from caploc.estimate.work import Stage
from caploc.jobs.run import Run as Plan
from caploc.records import DataError
from caploc.samples.data_check import checked_run, local_splits

__all__ = ["add_arguments", "run"]

_GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("config", nargs="*", type=Path, help="YAML laid over config.yaml, in order")
    parser.add_argument("--base", type=Path, default=Path("config.yaml"), help=argparse.SUPPRESS)
    parser.add_argument("--device", help=f"one of {', '.join(DEVICES)}; default by the model's key")
    parser.add_argument("--flops", type=float, help="operations in a second that you measured")
    parser.add_argument("--at-once", type=int, default=1, help="jobs (or GPUs) side by side")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> None:
    """Estimate and print.

    Raises:
        DataError: a bad configuration, a model without a shape, an unknown device.
    """
    if options.at_once < 1:
        raise DataError(f"--at-once {options.at_once}: expected at least 1")
    asked, _ = checked_run(read_files([options.base, *options.config]))
    plan = _known(asked)
    cuda = any(r.cuda for r in of_plan(plan))
    device = device_named(options.device or ("a100-80" if cuda else "cpu"), options.flops)
    found = stages(plan)
    if options.device is None and options.flops is None:
        found = measured(asked, found)
    worst = max(found, key=lambda stage: stage.seconds(device))
    saving = levers(plan, worst.name, device)
    if options.json:
        text = json.dumps(_as_json(plan, found, device, saving), indent=1)
    else:
        text = "\n".join(_lines(plan, found, device, options.at_once, saving))
    sys.stdout.write(text + "\n")


def _known(plan: Plan) -> Plan:
    """The run with what local files say: the size of a model, rows and lengths of a task."""
    config = copy.deepcopy(plan.config)
    for entry in config["models"].values():
        if "path" in entry and "shape" not in entry:
            from caploc.models.loading import shape_of  # here, because it imports torch

            entry["shape"] = shape_of(Path(entry["path"]).expanduser(), entry["family"])
    for task, splits in local_splits(plan).items():
        entry = config["tasks"][task]
        entry["samples"] = {name: len(split.samples) for name, split in splits.items()}
        entry.setdefault("tokens", lengths_of_text([s for x in splits.values() for s in x.samples]))
    return Plan(config)


def _lines(
    plan: Plan, found: list[Stage], device: Device, at_once: int, saving: list[Lever]
) -> list[str]:
    """The table, then what it comes to."""
    seconds = {stage.name: stage.seconds(device) for stage in found}
    total, worst = sum(seconds.values()), max(found, key=lambda stage: seconds[stage.name])

    def row(stage: Stage, hours: float) -> str:
        bytes_of = [stage.accelerator or 0.0] if cuda else []
        bytes_of += [stage.host, stage.disk, stage.scratch]
        operations = stage.work.operations
        return _row(stage.name, stage.jobs, f"{operations:.2g}" if operations else "",
                    _hours(hours), *map(_gib, bytes_of))  # fmt: skip

    cuda = any(r.cuda for r in of_plan(plan))
    small = [s for s in found if seconds[s.name] < 0.005 * total and s.accelerator is None]
    memory = ("GPU GiB", "RAM GiB") if cuda else ("memory GiB",)
    head = ("stage", "jobs", "operations", "hours", *memory, "disk GiB", "scratch GiB")
    lines = [f"{plan.settings['name']} on {device.name} ({device.source})", "", _row(*head)]
    lines += [row(stage, seconds[stage.name]) for stage in found if stage not in small]
    if small:
        rest = together(f"{len(small)} small stages", small)
        lines.append(row(rest, sum(seconds[s.name] for s in small)))
    everything = together("all", found)
    lines += [row(everything, total), ""]
    lines.append(f"{worst.name} takes {seconds[worst.name] / total:.0%} of the time.")
    lines += [f"  {key}: {old} -> {new} leaves {left:.0%} of it" for key, old, new, left in saving]
    if at_once > 1:
        shortest = max(total / at_once, seconds[worst.name] / max(worst.jobs, 1))
        lines.append(f"{at_once} jobs at once: {_hours(shortest)} hours at best.")
    if device.memory is not None and (everything.accelerator or 0) > device.memory:
        large = [s.name for s in found if (s.accelerator or 0) > device.memory]
        lines.append(
            f"Does not fit {device.name} ({device.memory / _GIB:.0f} GiB): {', '.join(large)}. "
            "Lower methods.*.batch_rows (neuron scores), batch_tokens and answered_rows (erasure), "
            "leave out the arms rest and full (enhancement), or take a larger device."
        )
    if known := sum(stage.measured is not None for stage in found):
        lines.append(f"Hours of {known} stages are those of the run that was made already.")
    sources = {x.source for r in of_plan(plan) for x in r.lengths.values()}
    lines.append(f"Lengths of samples: {', '.join(sorted(sources))}. See docs/scaling.md.")
    return lines


def _row(name: str, *cells: object) -> str:
    return f"{name:<24}" + "".join(f"{cell:>12}" for cell in cells)


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.3f}" if hours < 0.1 else f"{hours:.2f}" if hours < 10 else f"{hours:.0f}"


def _gib(n: float) -> str:
    gib = n / _GIB
    return "" if gib < 0.005 else f"{gib:.2f}" if gib < 10 else f"{gib:.0f}"


def _as_json(plan: Plan, found: list[Stage], device: Device, saving: list[Lever]) -> dict[str, Any]:
    return {
        "run": plan.settings["name"],
        "device": {"name": device.name, "source": device.source},
        "lengths": {
            r.model: {
                task: {"prompt": x.prompt, "answer": x.answer, "source": x.source}
                for task, x in r.lengths.items()
            }
            for r in of_plan(plan)
        },
        "stages": [
            {
                "name": s.name, "jobs": s.jobs, "operations": s.work.operations,
                "seconds": s.seconds(device), "measured": s.measured is not None,
                "accelerator_bytes": s.accelerator, "host_bytes": s.host,
                "disk_bytes": s.disk, "scratch_bytes": s.scratch,
            }
            for s in found
        ],
        "levers": [dict(zip(("key", "now", "tried", "left"), x, strict=True)) for x in saving],
    }  # fmt: skip
