"""The rules of the workflow as Snakemake holds them after reading the Snakefile."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def read_rules() -> dict[str, Any]:
    """Snakemake's rules that run a job, by name; targets are left out."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import ResourceSettings

    here, pandas = Path.cwd(), sys.modules.get("pandas")
    try:
        with SnakemakeApi() as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=2),
                snakefile=REPOSITORY / "Snakefile", workdir=REPOSITORY,
            )._workflow  # fmt: skip
            return {rule.name: rule for rule in workflow.rules if rule.shellcmd}
    finally:
        os.chdir(here)
        if pandas is None:  # the Snakefile says that there is none
            sys.modules.pop("pandas", None)
