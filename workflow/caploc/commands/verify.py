"""Check that the files of a run are undamaged and are what today's settings and code would make.

    caploc verify --configfile config/test.yaml

Run it where Snakemake runs. Status 0: all is well; 1: something is listed that must be mended; 2:
the run could not be checked. Snakemake says which jobs there are; the files are compared with the
receipts that their jobs left, so that nothing depends on the folder ``.snakemake``.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from caploc.configfiles import read_files, refuse_programs
from caploc.jobs.handed import received
from caploc.jobs.job import Job
from caploc.jobs.verification import BAD, findings, remedies
from caploc.records import DataError

__all__ = ["add_arguments", "planned", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--configfile", nargs="+", default=[], help="as given to snakemake")


def run(options: argparse.Namespace) -> int:
    """Check the run of a configuration and print what is wrong.

    Returns:
        0 if every file that is there is right, 1 if one is not.

    Raises:
        DataError: nothing could be checked.
    """
    # Before Snakemake loads them, which runs what some files hold.
    files = options.configfile
    read_files([Path(path) for path in files])
    refuse_programs([Path("config.yaml")])
    with _writable_folder():
        jobs = list(planned([str(Path(path).absolute()) for path in files]))
    found = findings(jobs)
    outputs = [path for job in jobs for path in job.outputs.values()]
    missing = sum(not path.is_file() for path in outputs)
    bad = {finding.path for finding in found if finding.kind in BAD}
    lines = [f"{f.kind:<9} {f.path}: {f.reason}" for f in found if not f.follows]
    followers = sum(finding.follows for finding in found)
    if followers:
        lines.append(f"stale     {followers} more files, made from those above")
    right = len(outputs) - missing - len(bad & set(outputs))
    lines.append(f"{right} of {len(outputs)} files are right, {missing} are not there yet")
    lines += remedies(found, files)
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(bad))


@contextmanager
def _writable_folder() -> Iterator[None]:
    """Where this folder cannot be written, inside is one that shows the same files.

    Snakemake plans nothing without a folder of its own for records. An archive has none.
    """
    here = Path.cwd()
    try:
        (here / ".snakemake").mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=here / ".snakemake"):
            pass
    except OSError:
        with tempfile.TemporaryDirectory() as scratch:
            for path in here.iterdir():
                if path.name != ".snakemake":
                    Path(scratch, path.name).symlink_to(path)
            with chdir(scratch):
                yield
        return
    yield


def planned(configfiles: list[str]) -> Iterator[Job]:
    """Every job that a run from nothing would have, asked of Snakemake in this process.

    Args:
        configfiles: as given to snakemake, laid over config.yaml.

    Raises:
        DataError: Snakemake cannot plan the run.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )  # fmt: skip

    logger.propagate = False  # its remarks are no findings
    paths = [Path(path) for path in configfiles]
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            workflow = api.workflow(ResourceSettings(cores=1), ConfigSettings(configfiles=paths))
            workflow.dag(DAGSettings(forceall=True))
            # Only printing and running are public; these three steps are what `printdag` takes.
            flow = workflow._workflow
            flow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
            flow._build_dag()
            asked = [job for job in flow.dag.jobs if not job.rule.norun]
            yield from [
                Job(
                    stage=_stage(job.rule.shellcmd),
                    rule=job.rule.name,
                    spec=json.loads(received(job.params.spec)),
                    code=job.params.code,
                    inputs={name: _paths(value) for name, value in job.input.items()},
                    outputs={name: Path(path) for name, path in job.output.items()},
                )
                for job in asked
            ]
    except (Exception, SystemExit) as error:  # the Snakefile ends the process at a wrong setting
        if isinstance(error, DataError):
            raise
        told = " ".join(str(error).split())
        raise DataError(f"snakemake cannot plan this run: {told}") from None


def _stage(command: str) -> str:
    """The stage in the command of a rule, which begins with ``caploc <stage>``."""
    return command.split()[1]


def _paths(value: str | list[str]) -> list[Path]:
    return [Path(path) for path in ([value] if isinstance(value, str) else value)]
