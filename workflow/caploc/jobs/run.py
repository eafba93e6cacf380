"""What the rules ask of a checked configuration: file names, settings and code of every job.

A spec holds exactly the settings its stage consumes, as canonical JSON, and the code digest covers
exactly the modules it executes; Snakemake reruns a job when either text changes. What an experiment
needs is asked of the module `jobs` in its folder, which has

- one function a stage, named like it, with a `Run` and the wildcards of the rule: the settings;
- ``EXECUTED`` (optional): for a stage that runs plug-ins named by the settings, a function of the
  same arguments that gives their dotted module names;
- ``page_inputs`` (optional): of a `Run`, further files that its section of the page reads, by name.
"""

import json
import math
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from caploc import locator_settings, plugins
from caploc.jobs.digests import canonical_json, code_digest
from caploc.jobs.named_files import check_files

__all__ = ["SPLITS", "Run", "jobs_of"]

SPLITS = ("locate", "train", "validation", "test")
SHUFFLED = ".shuffled"
LAYOUT = 3
"""Of the code: results of another one have other digests or receipts, though settings are equal."""
# Tables of every run.
_TABLES = ("agreement", "neurons", "base", "samples", "completeness")


@cache
def _jobs_modules() -> tuple[ModuleType, ...]:
    names = ["caploc.stages.jobs", *(f"caploc.experiments.{e}.jobs" for e in plugins.experiments())]
    return tuple(import_module(name) for name in names)


def jobs_of(stage: str) -> ModuleType:
    """The module `jobs` that answers for a stage.

    Raises:
        ValueError: there is none.
    """
    for module in _jobs_modules():
        if hasattr(module, stage):
            return module
    raise ValueError(f"stage {stage!r} has no function in the module jobs of its folder")


class Run:
    """Answers for one run.

    Attributes:
        config: checked configuration, from `caploc.config.check`.
        settings: its section `run`.
        root: folder of the run, ``results/<name>``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.settings = config["run"]
        self.root = Path("results") / self.settings["name"]

    def shown(self) -> str:
        """The whole checked configuration as canonical JSON, and which layout the run has."""
        return canonical_json(self.config | {"layout": LAYOUT})

    def check_files(self) -> None:
        """Every local file that the run reads is there; see `named_files.check_files`."""
        check_files(self.config, self.facts)

    def older_layout(self) -> str:
        """One line if the folder of the run was made by a version with another layout, else ""."""
        try:
            found = json.loads((self.root / "config.json").read_text(encoding="utf-8"))
            layout = found.get("layout", 1)
        except (OSError, ValueError, AttributeError):
            return ""
        if layout == LAYOUT:
            return ""
        return (
            f"{self.root} was made by an older version of caploc, whose digests differ: all of it "
            "is made again. Go on with that version to keep it, or name another run"
        )

    # Which items run -----------------------------------------------------------------------------

    @property
    def tasks(self) -> list[str]:
        """Ids of all tasks whose samples are needed, the neutral text included."""
        neutral = self.settings["neutral"]
        extra = [neutral] if neutral is not None and neutral not in self.settings["tasks"] else []
        return [*self.settings["tasks"], *extra]

    @property
    def facts(self) -> list[str]:
        """Ids of all sets of facts that an experiment of the run reads."""
        sections = (self.config["experiments"].get(e, {}) for e in self.settings["experiments"])
        return sorted({f for section in sections for f in section.get("facts", ())})

    @property
    def trained_models(self) -> list[str]:
        """Ids of the models that the workflow trains itself."""
        return [m for m in self.settings["models"] if "train" in self.config["models"][m]]

    @property
    def scored(self) -> list[str]:
        """Tasks and references whose neurons are scored; a shuffled task is ``<task>.shuffled``."""
        shuffled = (
            [task + SHUFFLED for task in self.settings["tasks"]]
            if self.settings["shuffled"]
            else []
        )
        return [*self.tasks, *shuffled]

    @property
    def tables(self) -> list[str]:
        """Tables of the run, those of its experiments included."""
        added = plugins.declared("TABLES")
        return [*_TABLES, *(t for name in self.settings["experiments"] for t in added[name])]

    def n_shards(self, task: str) -> int:
        """Number of attribution jobs of a task (or of its shuffled reference)."""
        samples = self.config["tasks"][task.removesuffix(SHUFFLED)]["samples"]["locate"]
        return math.ceil(samples / self.settings["shard_size"])

    # Where files are -----------------------------------------------------------------------------

    def shards(self, model: str, task: str, method: str) -> list[str]:
        """Attribution files of one task."""
        folder = str(self.root / "attributions" / model / task / method)
        # Thousands of them: joined as text, which is many times faster than as paths.
        return [f"{folder}/shard-{i:04d}.parquet" for i in range(self.n_shards(task))]

    def scores(self, model: str, task: str, method: str) -> str:
        """File of the mean scores of one task."""
        return str(self.root / "scores" / model / task / f"{method}.parquet")

    def all_scores(self) -> list[str]:
        """Files of the mean scores of every task and reference."""
        return [
            self.scores(model, task, method)
            for model in self.settings["models"]
            for task in self.scored
            for method in self.settings["methods"]
        ]

    def all_shards(self) -> list[str]:
        """Attribution files of every task and reference."""
        return [
            shard
            for model in self.settings["models"]
            for task in self.scored
            for method in self.settings["methods"]
            for shard in self.shards(model, task, method)
        ]

    def masks(self, model: str, method: str, mask: str) -> list[str]:
        """Mask files of all tasks of the run, in the order of the config."""
        folder = self.root / "masks" / model
        return [str(folder / task / method / f"{mask}.parquet") for task in self.settings["tasks"]]

    def all_masks(self) -> list[str]:
        """Mask files of every model, task, method and mask rule."""
        return [
            path
            for model in self.settings["models"]
            for method in self.settings["methods"]
            for mask in self.settings["masks"]
            for path in self.masks(model, method, mask)
        ]

    def all_agreement(self) -> list[str]:
        """Parts of the table `agreement`: halves of every task and reference, pairs of tasks."""
        arms = [*self.tasks, *(["mixture"] if self.settings["mixture"] else [])]
        combinations = [
            (model, method, mask)
            for model in self.settings["models"]
            for method in self.settings["methods"]
            for mask in self.settings["masks"]
        ]
        halves = [
            str(self.root / "agreement" / model / arm / method / f"{mask}.parquet")
            for model, method, mask in combinations
            for arm in arms
        ]
        pairs = [
            str(self.root / "overlap" / model / method / f"{mask}.parquet")
            for model, method, mask in combinations
        ]
        return halves + pairs

    def mask_inputs(self, model: str, task: str, method: str, mask: str) -> dict[str, Any]:
        """Scores of a task, and those of the others if the mask compares with them."""
        inputs: dict[str, Any] = {"scores": self.scores(model, task, method)}
        if self.config["masks"][mask].get("against") == "others":
            alike = [p for p in self.settings["pairs"] if p["shares"] == "capability"]
            same = {p[b] for p in alike for a, b in ("ab", "ba") if p[a] == task} | {task}
            others = [other for other in self.settings["tasks"] if other not in same]
            others = others if task in self.tasks else []
            inputs["others"] = [self.scores(model, other, method) for other in others]
        return inputs

    def agreement_inputs(self, model: str, task: str, method: str, mask: str) -> dict[str, Any]:
        """What a mask is made of, the shuffled reference, converged scores where there are any."""
        inputs = self.mask_inputs(model, task, method, mask)
        if task in self.settings["tasks"] and self.settings["shuffled"]:
            inputs["shuffled"] = self.scores(model, task + SHUFFLED, method)
        if task in self.tasks and self.settings["converged_samples"] and self.converges(method):
            inputs["converged"] = str(self.root / "converged" / model / f"{method}.parquet")
        return inputs

    def converges(self, method: str) -> bool:
        """Does the locator of a method know a path rule that goes on until it has converged?"""
        locator = self.config["methods"][method]["locator"]
        return "tolerance" in locator_settings.taken(locator, "locate", {"tolerance": 0})

    def page_inputs(self) -> dict[str, str]:
        """Further files that the sections of the page read, by name."""
        asked = [m.page_inputs(self) for m in _jobs_modules() if hasattr(m, "page_inputs")]
        return {name: path for files in asked for name, path in files.items()}

    def n_gpus(self, model: str) -> int:
        """Accelerators that a job with this model asks for."""
        return int(self.config["models"][model]["device"].startswith("cuda"))

    # What a job is told --------------------------------------------------------------------------

    def spec(self, stage: str, **wildcards: str) -> str:
        """Canonical JSON of the settings that a stage consumes for these wildcards."""
        return canonical_json(getattr(jobs_of(stage), stage)(self, **wildcards))

    def code(self, stage: str, **wildcards: str) -> str:
        """Digest of the modules that a stage executes, plug-ins of the wildcards included."""
        modules = [plugins.stages()[stage]]
        if "model" in wildcards:
            family = self.config["models"][wildcards["model"]]["family"]
            modules.append(plugins.module_name("families", family))
        executed = getattr(jobs_of(stage), "EXECUTED", {}).get(stage)
        if executed is not None:
            modules += executed(self, **wildcards)
        return code_digest(*modules, files=getattr(jobs_of(stage), "FILES", {}).get(stage, ()))

    def task_plugins(self, *tasks: str) -> list[str]:
        """Dotted modules of the plug-ins of these tasks, each once."""
        used = {self.config["tasks"][task]["plugin"] for task in tasks}
        return [plugins.module_name("tasks", name) for name in sorted(used)]
