"""What the rules ask of a checked configuration: file names, settings and code of every job.

A spec holds exactly the settings its stage consumes, as canonical JSON, and the code digest covers
exactly the modules it executes; Snakemake reruns a job when either text changes.
"""

import math
from pathlib import Path
from typing import Any

from caploc import plugins
from caploc.provenance import canonical_json, code_digest

__all__ = ["SPLITS", "Plan"]

SPLITS = ("locate", "train", "validation", "test")
_SHUFFLED = ".shuffled"


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

    def n_shards(self, task: str) -> int:
        """Number of attribution jobs of a task (or of its shuffled reference)."""
        samples = self.config["tasks"][task.removesuffix(_SHUFFLED)]["samples"]["locate"]
        return math.ceil(samples / self.run["shard_size"])

    # Where files are -----------------------------------------------------------------------------

    def shards(self, model: str, task: str, method: str) -> list[str]:
        """Attribution files of one task."""
        folder = self.root / "attributions" / model / task / method
        return [str(folder / f"shard-{i:04d}.parquet") for i in range(self.n_shards(task))]

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
        """Scores of a task, and of its shuffled reference where there is one."""
        inputs = {"scores": self.scores(model, task, method)}
        if task in self.run["tasks"] and self.run["shuffled"]:
            inputs["shuffled"] = self.scores(model, task + _SHUFFLED, method)
        return inputs

    def n_gpus(self, model: str) -> int:
        """Accelerators that a job with this model asks for."""
        return int(self.config["models"][model]["device"].startswith("cuda"))

    # What a job is told --------------------------------------------------------------------------

    def spec(self, stage: str, **wildcards: str) -> str:
        """Canonical JSON of the settings that a stage consumes for these wildcards."""
        return canonical_json(getattr(self, f"_{stage}")(**wildcards))

    def code(self, stage: str, **wildcards: str) -> str:
        """Digest of the modules that a stage executes, plug-ins of the wildcards included."""
        modules = [f"caploc.stages.{stage}"]
        if "model" in wildcards:
            model = self.config["models"][wildcards["model"]]
            modules.append(plugins.module_name("models", model["family"]))
            if stage == "train_model":
                mixture = model["train"]["mixture"]
                modules += [plugins.module_name("tasks", name) for name in mixture]
        if "task" in wildcards and stage in ("prepare_samples", "evaluate_base"):
            plugin = self.config["tasks"][wildcards["task"]]["plugin"]
            modules.append(plugins.module_name("tasks", plugin))
        if stage == "attribute_shard":
            locator = self.config["methods"][wildcards["method"]]["locator"]
            modules.append(plugins.module_name("locators", locator))
        if stage == "write_report":
            # Titles and capabilities come from the tasks; the page from its templates.
            used = {self.config["tasks"][task]["plugin"] for task in self.tasks}
            modules += [plugins.module_name("tasks", name) for name in used]
            folder = Path(__file__).parent / "report"
            templates = [p for p in folder.iterdir() if p.suffix in (".jinja", ".css", ".json")]
            return code_digest(*modules, files=templates)
        return code_digest(*modules)

    def _train_model(self, model: str) -> dict[str, Any]:
        entry = self.config["models"][model]
        return {
            "model": model,
            "seed": self.run["seed"],
            "architecture": entry["architecture"],
            "train": entry["train"],
        }

    def _fetch_model(self, model: str) -> dict[str, Any]:
        entry = self.config["models"][model]
        return {"model": model, "repo": entry.get("repo"), "path": entry.get("path")} | {
            key: entry[key] for key in ("family", "revision", "dtype")
        }

    def _prepare_samples(self, task: str) -> dict[str, Any]:
        entry = {k: v for k, v in self.config["tasks"][task].items() if k not in _SHOWN}
        return entry | {"task": task, "seed": self.run["seed"]}

    def _shuffle_answers(self, task: str) -> dict[str, Any]:
        return {"task": task, "seed": self.run["seed"]}

    def _check_splits(self) -> dict[str, Any]:
        return {"tasks": self.tasks}

    def _evaluate_base(self, model: str, task: str) -> dict[str, Any]:
        entry = self.config["tasks"][task]
        return {"model": model, "task": task, "plugin": entry["plugin"]} | self._place(model)

    def _attribute_shard(self, model: str, task: str, method: str, shard: str) -> dict[str, Any]:
        return {
            "model": model,
            "task": task,
            "method_id": method,
            "method": self.config["methods"][method],
            "shard": int(shard),
            "shard_size": self.run["shard_size"],
            "seed": self.run["seed"],
        } | self._place(model)

    def _place(self, model: str) -> dict[str, Any]:
        entry = self.config["models"][model]
        return {key: entry[key] for key in ("family", "dtype", "device")}

    def _aggregate_scores(self, model: str, task: str, method: str) -> dict[str, Any]:
        return {
            "model": model,
            "task": task,
            "method": method,
            "n_splits": self.run["splits"],
            "n_per_half": None,
            "curve": None,
            "min_samples": self.run["minimum_samples"],
            "seed": self.run["seed"],
        }

    def _aggregate_mixture(self, model: str, method: str) -> dict[str, Any]:
        return self._aggregate_scores(model, "mixture", method) | {"tasks": self.run["tasks"]}

    def _build_mask(self, model: str, task: str, method: str, mask: str) -> dict[str, Any]:
        ids = {"model": model, "task": task, "method": method, "mask": mask}
        return ids | self.config["masks"][mask]

    def _measure_agreement(self, model: str, task: str, method: str, mask: str) -> dict[str, Any]:
        arm = {"mixture": "mixture", self.run["neutral"]: "neutral"}.get(task, "located")
        ids = {"model": model, "task": task, "method": method, "mask": mask}
        return ids | {"arm": arm, "rule": self.config["masks"][mask]}

    def _measure_overlap(self, model: str, method: str, mask: str) -> dict[str, Any]:
        ids = {"model": model, "method": method, "mask": mask, "tasks": self.run["tasks"]}
        return ids | {"sigma": self.config["masks"][mask]["sigma"]}

    def _tabulate_agreement(self) -> dict[str, Any]:
        return {}

    _tabulate_neurons = _tabulate_base = _tabulate_samples = _tabulate_completeness = (
        _tabulate_agreement
    )

    def _write_report(self) -> dict[str, Any]:
        shown = ("title", "capability")
        return {
            "run": self.run["name"],
            "title": self.run["title"] or self.run["name"],
            "config": self.config,
            "tasks": [
                {"id": task, "plugin": self.config["tasks"][task]["plugin"]}
                | {k: v for k, v in self.config["tasks"][task].items() if k in shown}
                for task in self.run["tasks"]
            ],
            "models": self.run["models"],
            "methods": self.run["methods"],
            "masks": [
                {"id": m, "sigma": self.config["masks"][m]["sigma"]} for m in self.run["masks"]
            ],
            "headline_mask": self.run["headline_mask"],
            "pairs": self.run["pairs"],
            "neutral": self.run["neutral"],
        }


# Keys of a task that only the report shows: changing them prepares nothing anew.
_SHOWN = ("title", "capability")
