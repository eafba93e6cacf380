"""Put what a run located into a repository of the Hugging Face hub, with a model card.

    caploc push default --repo me/abilities-of-smollm2
    caploc push default --out folder        writes the folder and uploads nothing

A run is named by its folder or by its name under results/. Masks, mean scores, trained slices and
tables are written, no weights of the model; ``caploc.Located.from_hub`` reads them. The token of
the environment variable HF_TOKEN, or of ``hf auth login``, is used.
"""

import argparse
import importlib.metadata
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from caploc.files import store
from caploc.records import DataError
from caploc.report.finished import FinishedRun, read_run

__all__ = ["add_arguments", "run", "write_folder"]

_LOG = logging.getLogger(__name__)
_VERSIONS = ("caploc", "torch", "transformers")
_RULE = ("sigma", "sign", "dispersion", "per_layer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="folder or name of a finished run")
    parser.add_argument("--repo", help="repository to upload to, made if it is not there")
    parser.add_argument("--out", type=Path, help="folder to write; default RUN/hub")
    parser.add_argument("--private", action="store_true", help="of a repository that is made")


def run(options: argparse.Namespace) -> None:
    """Write the folder and upload it.

    Raises:
        DataError: not a finished run, or the hub refuses.
    """
    found = read_run(options.run)
    folder = options.out or found.folder / "hub"
    write_folder(found, folder, options.repo or "")
    _LOG.info("wrote %s", folder)
    if options.repo is not None:
        _upload(folder, options.repo, options.private)
        _LOG.info("uploaded to %s", options.repo)


def write_folder(found: FinishedRun, folder: Path, repo: str) -> None:
    """Everything that the repository will hold.

    Raises:
        DataError: a folder of something else, no mask, or a damaged file.
    """
    if folder.exists() and not (folder / "caploc.json").is_file():
        raise DataError(f"{folder}: exists and was not written by this command; name another --out")
    shutil.rmtree(folder, ignore_errors=True)
    entries = list(_entries(found, folder))
    if not entries:
        raise DataError(f"{found.folder}: holds no mask; let the run finish first")
    for path in sorted(found.folder.glob("tables/*.parquet")):
        _copy(path, folder, found.folder)
    for path in sorted(found.folder.glob("deltas/**/*.safetensors")):
        _copy(path, folder, found.folder)
    models = [_model(found, name) for name in found.config["run"]["models"]]
    tasks = [_task(found, name) for name in found.config["run"]["tasks"]]
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS}
    index = {"masks": entries, "models": models, "tasks": tasks, "versions": versions}
    store.write_text(json.dumps(index, indent=1) + "\n", folder / "caploc.json")
    card = _card(repo=repo, title=found.config["run"]["title"] or found.name,
                 effects=list(_effects(found)), **index)  # fmt: skip
    store.write_text(card, folder / "README.md")


def _entries(found: FinishedRun, folder: Path) -> Iterator[dict[str, Any]]:
    """One for each mask; its file and that of its mean scores are written."""
    # Here, because it imports torch.
    import torch

    from caploc.files.scores import read_scores
    from caploc.interventions.delta import write_tensors

    for path in sorted(found.folder.glob("masks/*/*/*/*.parquet")):
        facts = store.read_metadata(path)
        if "not_computed" in facts:
            continue
        model, task, method = path.relative_to(found.folder / "masks").parts[:3]
        scores = f"scores/{model}/{task}/{method}.safetensors"
        if not (folder / scores).exists():
            mean = read_scores((found.folder / scores).with_suffix(".parquet")).whole
            write_tensors(folder / scores, {"mean": torch.from_numpy(mean.copy())}, {})
        _copy(path, folder, found.folder)
        yield {
            "model": model, "task": task, "method": method, "mask": path.stem,
            "file": path.relative_to(found.folder).as_posix(), "scores": scores,
            "n_located": facts["n_located"], "n_neurons": facts["n_layers"] * facts["n_neurons"],
            "n_samples": facts.get("n_samples"), **{key: facts[key] for key in _RULE},
        }  # fmt: skip


def _copy(path: Path, folder: Path, root: Path) -> None:
    target = folder / path.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _model(found: FinishedRun, name: str) -> dict[str, Any]:
    """Which model it is, without a path of this computer."""
    from caploc.jobs.digests import weights_digest

    manifest = store.read_json(found.folder / f"models/{name}/manifest.json")
    known = {key: manifest.get(key) for key in ("repo", "revision", "architecture", "dtype")}
    gguf = (manifest.get("gguf") or {}).get("file")
    return {"name": name, **known, "gguf": gguf, "weights": weights_digest(manifest["files"])}


def _task(found: FinishedRun, name: str) -> dict[str, Any]:
    """Where its samples are from."""
    facts = store.read_metadata(found.folder / f"samples/{name}/locate.parquet")
    plugin = found.config["tasks"][name]["plugin"]
    return {"name": name, "plugin": plugin, "n": facts["n"], "sources": facts["sources"]}


def _effects(found: FinishedRun) -> Iterator[dict[str, Any]]:
    """What silencing costs, for every model, task and mask that the run has tested."""
    if "erasure" not in found.tables:
        return
    table = found.tables["erasure"].filter(
        pl.col("metric").is_in(["logprob_fall", "logprob_excess"]) & pl.col("value").is_not_null(),
        arm="located", mode="all", shots=0,
    )  # fmt: skip
    for (model, task, mask), rows in table.group_by(
        "model", "dataset", "mask", maintain_order=True
    ):
        cells = {
            (r["control"], r["metric"]): r
            for r in rows.filter(pl.col("share").is_null()).iter_rows(named=True)
        }
        own, random = cells.get(("", "logprob_fall")), cells.get(("matched", "logprob_fall"))
        surplus = cells.get(("matched", "logprob_excess"))
        if own and random and surplus:
            yield {"model": model, "task": task, "mask": mask, "own": own, "random": random,
                   "surplus": surplus}  # fmt: skip


def _card(**facts: Any) -> str:
    from caploc.report.templates import environment

    return environment(autoescape=False).get_template("card.md.jinja").render(**facts)


def _upload(folder: Path, repo: str, private: bool) -> None:
    from huggingface_hub import HfApi, errors

    api = HfApi()
    try:
        api.create_repo(repo, exist_ok=True, private=private)
        api.upload_folder(
            repo_id=repo, folder_path=folder, delete_patterns="*",
            commit_message="Located neurons",
        )  # fmt: skip
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        told = " ".join(str(error).split())
        raise DataError(
            f"{repo}: the hub refused or cannot be reached ({told}); give a token that may write "
            f"in HF_TOKEN, or upload {folder} yourself"
        ) from None
