"""Files and folders of a user that a configuration names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caploc.records import DataError

__all__ = ["check_files", "named_files"]


def named_files(files: Any) -> list[str]:
    """All paths of a key `files`: a path, a list, or parts with either; none for None."""
    if files is None or isinstance(files, str):
        return [] if files is None else [files]
    parts = files.values() if isinstance(files, dict) else [files]
    return [name for part in parts for name in ([part] if isinstance(part, str) else part)]


def check_files(config: dict[str, Any], facts: list[str]) -> None:
    """Everything that a run reads from local paths is there.

    Args:
        config: checked configuration.
        facts: ids of the sets of facts that the run uses.

    Raises:
        DataError: a file or folder is missing; the message names the key and the path.
    """
    for where, name in _named(config, facts):
        path = Path(name).expanduser()
        if not path.exists():
            raise DataError(
                f"config {where}: {name}: no such file or folder; paths are relative to the folder "
                f"where snakemake runs ({Path.cwd()}), or absolute"
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
        if "path" in config["models"][model]:
            yield f"models.{model}.path", config["models"][model]["path"]
