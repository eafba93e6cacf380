"""What the rules ask of a checked configuration: file names, settings and code of every job.

A spec holds exactly the settings its stage consumes, as canonical JSON, and the code digest covers
exactly the modules it executes; Snakemake reruns a job when either text changes.
"""

import math
from pathlib import Path
from typing import Any

from caploc import plugins
from caploc.plan import (
    decoupling,
    enhancement,
    erasure,
    facts,
    known_answer,
    reliability,
    spine,
)
from caploc.provenance import canonical_json, code_digest

__all__ = ["EXPERIMENTS", "SPLITS", "Plan"]

SPLITS = ("locate", "train", "validation", "test")
_SHUFFLED = ".shuffled"
# Where the settings of a stage are: each module has one function a stage.
_FAMILIES = (spine, erasure, enhancement, facts, reliability, decoupling, known_answer)
# Stages that execute the plug-in of their task.
_TASK_STAGES = ("prepare_samples", "evaluate_base", "erase_neurons")
# Stages that execute the plug-ins of all tasks: to test them, or to know their capabilities.
_ALL_TASKS_STAGES = (
    "enhance_task", "tabulate_cross_enhancement", "tabulate_cross_erasure",
    "tabulate_cross_overlap",
)  # fmt: skip
# Stages that load a planted model, which is of the family llama.
_PLANT_STAGES = ("plant_model", "check_plant", "measure_effects", "score_plant", "check_null")
# Tables of every run, and what each experiment named in `run.experiments` adds.
_TABLES = ("agreement", "neurons", "base", "samples", "completeness")
EXPERIMENTS: dict[str, tuple[str, ...]] = {
    "erasure": ("erasure",),
    "cross_erasure": ("cross_erasure", "cross_overlap"),
    "enhancement": ("enhancement", "cross_enhancement"),
    "fidelity": ("fidelity", "tracing"),
    "reliability": ("reliability",),
    "decoupling": ("decoupling",),
}


class Plan:
    """Answers for one run.

    Attributes:
        config: checked configuration, from `caploc.config.check`.
        root: folder of the run, ``results/<name>``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.run = config["run"]
        self.root = Path("results") / self.run["name"]

    def shown(self) -> str:
        """The whole checked configuration as canonical JSON."""
        return canonical_json(self.config)

    # Which items run -----------------------------------------------------------------------------

    @property
    def tasks(self) -> list[str]:
        """Ids of all tasks whose samples are needed, the neutral text included."""
        neutral = self.run["neutral"]
        extra = [neutral] if neutral is not None and neutral not in self.run["tasks"] else []
        return [*self.run["tasks"], *extra]

    @property
    def trained_models(self) -> list[str]:
        """Ids of the models that the workflow trains itself."""
        return [m for m in self.run["models"] if "train" in self.config["models"][m]]

    @property
    def scored(self) -> list[str]:
        """Tasks and references whose neurons are scored; a shuffled task is ``<task>.shuffled``."""
        shuffled = [task + _SHUFFLED for task in self.run["tasks"]] if self.run["shuffled"] else []
        return [*self.tasks, *shuffled]

    @property
    def tables(self) -> list[str]:
        """Tables of the run, those of its experiments included."""
        added = [t for name in self.run["experiments"] for t in EXPERIMENTS[name]]
        return [*_TABLES, *added]

    def n_shards(self, task: str) -> int:
        """Number of attribution jobs of a task (or of its shuffled reference)."""
        samples = self.config["tasks"][task.removesuffix(_SHUFFLED)]["samples"]["locate"]
        return math.ceil(samples / self.run["shard_size"])

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
            for model in self.run["models"]
            for task in self.scored
            for method in self.run["methods"]
        ]

    def all_shards(self) -> list[str]:
        """Attribution files of every task and reference."""
        return [
            shard
            for model in self.run["models"]
            for task in self.scored
            for method in self.run["methods"]
            for shard in self.shards(model, task, method)
        ]

    def masks(self, model: str, method: str, mask: str) -> list[str]:
        """Mask files of all tasks of the run, in the order of the config."""
        folder = self.root / "masks" / model
        return [str(folder / task / method / f"{mask}.parquet") for task in self.run["tasks"]]

    def all_masks(self) -> list[str]:
        """Mask files of every model, task, method and mask rule."""
        return [
            path
            for model in self.run["models"]
            for method in self.run["methods"]
            for mask in self.run["masks"]
            for path in self.masks(model, method, mask)
        ]

    def all_agreement(self) -> list[str]:
        """Parts of the table `agreement`: halves of every task and reference, pairs of tasks."""
        arms = [*self.tasks, *(["mixture"] if self.run["mixture"] else [])]
        combinations = [
            (model, method, mask)
            for model in self.run["models"]
            for method in self.run["methods"]
            for mask in self.run["masks"]
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

    def agreement_inputs(self, model: str, task: str, method: str) -> dict[str, str]:
        """Scores of a task, of its shuffled reference, and converged ones, where there are any."""
        inputs = {"scores": self.scores(model, task, method)}
        if task in self.run["tasks"] and self.run["shuffled"]:
            inputs["shuffled"] = self.scores(model, task + _SHUFFLED, method)
        if task in self.tasks and self.run["converged_samples"]:
            inputs["converged"] = str(self.root / "converged" / model / f"{method}.parquet")
        return inputs

    def n_gpus(self, model: str) -> int:
        """Accelerators that a job with this model asks for."""
        return int(self.config["models"][model]["device"].startswith("cuda"))

    # What a job is told --------------------------------------------------------------------------

    def spec(self, stage: str, **wildcards: str) -> str:
        """Canonical JSON of the settings that a stage consumes for these wildcards."""
        for family in _FAMILIES:
            if hasattr(family, stage):
                return canonical_json(getattr(family, stage)(self, **wildcards))
        raise ValueError(f"stage {stage!r} has no function in caploc.plan")

    def code(self, stage: str, **wildcards: str) -> str:
        """Digest of the modules that a stage executes, plug-ins of the wildcards included."""
        modules = [f"caploc.stages.{stage}"]
        if "model" in wildcards:
            model = self.config["models"][wildcards["model"]]
            modules.append(plugins.module_name("models", model["family"]))
            if stage == "train_model":
                mixture = model["train"]["mixture"]
                modules += [plugins.module_name("tasks", name) for name in mixture]
        if stage in _PLANT_STAGES:
            modules.append(plugins.module_name("models", "llama"))
        if stage == "plant_model":
            tasks = known_answer.planted_plugins(self)
            modules += [plugins.module_name("tasks", name) for name in tasks]
        if stage == "score_plant":
            tested = known_answer.candidates(self)
            modules += [plugins.module_name("candidates", name) for name in tested]
        if "task" in wildcards and stage in _TASK_STAGES:
            plugin = self.config["tasks"][wildcards["task"]]["plugin"]
            modules.append(plugins.module_name("tasks", plugin))
        if stage == "prepare_facts":
            modules.append(
                plugins.module_name("facts", self.config["facts"][wildcards["facts"]]["plugin"])
            )
        if stage == "prepare_pairs":
            modules.append(plugins.module_name("tasks", wildcards["pairs"]))
        if stage == "locate_facts":
            modules.append(plugins.module_name("locators", wildcards["locator"]))
        if stage in _ALL_TASKS_STAGES:
            # Every task of the run is tested, or asked for its capability.
            used = {self.config["tasks"][task]["plugin"] for task in self.run["tasks"]}
            modules += [plugins.module_name("tasks", name) for name in sorted(used)]
        if stage in ("attribute_shard", "score_converged"):
            locator = self.config["methods"][wildcards["method"]]["locator"]
            modules.append(plugins.module_name("locators", locator))
        if stage == "write_report":
            # Titles and capabilities come from the tasks; the page from its templates.
            used = {self.config["tasks"][task]["plugin"] for task in self.tasks}
            modules += [plugins.module_name("tasks", name) for name in used]
            folder = Path(__file__).parents[1] / "report"
            templates = [p for p in folder.iterdir() if p.suffix in (".jinja", ".css", ".json")]
            return code_digest(*modules, files=templates)
        return code_digest(*modules)
