"""What comes with the library: the files of the workflow, and extras that may not be installed."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from caploc.records import DataError

__all__ = ["folder", "lacking", "snakefile"]


def folder() -> Path:
    """The folder that holds Snakefile, config.yaml, config, profiles, envs and workflow/rules."""
    here = Path(__file__).resolve().parent
    installed = here / "shipped_files"
    return installed if installed.is_dir() else here.parents[1]


def snakefile() -> str:
    """Path of the Snakefile, for ``include:`` or for ``snakefile:`` of a ``module``.

    Example:
        >>> import caploc
        >>> caploc.snakefile().endswith("Snakefile")
        True
    """
    return str(folder() / "Snakefile")


def lacking(error: ModuleNotFoundError) -> DataError:
    """What to install where a package is not there that not everybody needs."""
    name = (error.name or "").partition(".")[0].replace("_", "-")
    try:
        found = [
            re.match(rf'{name}\b.*extra == "(\w+)"', line) for line in requires("caploc") or ()
        ]
    except PackageNotFoundError:
        found = []
    extra = next((match[1] for match in found if match), None)
    what = f"caploc[{extra}]" if extra else name
    return DataError(f"the package {name} is not installed; pip install '{what}'")
