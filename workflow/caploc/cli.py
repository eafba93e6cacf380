"""`caploc <stage>`: what the rules call. `caploc --help` lists the stages.

For people: `caploc init` writes the workflow into a folder and `caploc run` runs it, `caploc plan`
says what a run would take, `caploc verify` checks the files of a run, `caploc compare` puts two
runs side by side, `caploc apply` writes an erased or enhanced model, `caploc push` uploads what a
run located.
"""

import argparse
import errno
import json
import logging
import os
import sys
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TextIO, cast

from caploc import plugins, shipped
from caploc.discretion import DiscreetStream, discreet
from caploc.jobs.job import Job
from caploc.jobs.locks import alone
from caploc.records import DataError

__all__ = ["main"]

_FORMAT, _TIME = "%(asctime)s %(message)s", "%H:%M:%S"


def main(arguments: list[str] | None = None) -> int:
    """Run one stage or command.

    Returns:
        0 on success; 2 with one line for a bad file or setting; 1 for a failure that should not
        be, or where `caploc verify` finds something.
    """
    out, err = (cast(TextIO, DiscreetStream(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        return _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: list[str]) -> int:
    called = arguments[0] if arguments else ""
    is_command = called in plugins.names("commands")
    command = plugins.load("commands", called) if is_command else None
    parser = _parser() if command is None else _command_parser(called, command)
    options = parser.parse_args(arguments[1:] if is_command else arguments)
    terminal = logging.StreamHandler()
    terminal.setFormatter(_Discreet(_FORMAT, _TIME))
    logging.basicConfig(level=logging.INFO, handlers=[terminal])
    log = logging.getLogger("caploc")
    try:
        if command is not None:
            return command.run(options) or 0
        _prepare(options, terminal)
        _run(_job(options))
    except DataError as error:
        log.error("caploc %s: error: %s", called, error)
        return 2
    except Exception as error:
        remedy = _remedy(error)
        if remedy is None:
            log.exception("caploc %s failed", called)
            return 1
        log.error("caploc %s: error: %s; %s", called, " ".join(str(error).split()), remedy)
        return 2
    return 0


def _command_parser(name: str, command: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"caploc {name}", description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_arguments(parser)
    return parser


def _prepare(options: argparse.Namespace, terminal: logging.Handler) -> None:
    """Threads and logs of a stage."""
    if "CAPLOC_PROGRESS" in os.environ:  # Snakemake's logger draws there, see jobs/progress
        terminal.setLevel(logging.WARNING)
        os.environ["CAPLOC_LOG"] = str(options.log)
    # Thread pools read these when their library is loaded, so they are set before any import.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    # Waiting threads that spin starve each other on a shared machine (measured: 4 times slower).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["POLARS_MAX_THREADS"] = str(options.threads)
    _log_to(options.log)


def _job(options: argparse.Namespace) -> Job:
    return Job(
        stage=options.stage,
        spec=json.loads(options.spec),
        code=options.code,
        inputs=_files(options.input),
        outputs={name: paths[0] for name, paths in _files(options.output).items()},
        threads=options.threads,
    )


def _run(job: Job) -> None:
    """Run a stage on checked inputs, nobody else making its outputs, and leave receipts."""
    from caploc.jobs import receipts, reuse  # here, because they import pyarrow

    stage = import_module(plugins.stages()[job.stage])
    origin = job.origin()
    receipts.check_inputs(job)
    with alone(next(iter(job.outputs.values()))) if job.outputs else nullcontext(False) as waited:
        if waited and receipts.is_finished(job, origin):
            logging.getLogger("caploc").info("the other process has made the same files: done")
            return
        receipts.void(job)
        source = reuse.taken_from(job, origin, reuse.other_runs())
        if source is not None:
            logging.getLogger("caploc").info("taken from %s: same settings, code, inputs", source)
            return
        stage.run(job)
        receipts.write_receipts(job, origin)


_REMEDIES = {
    errno.ENOSPC: "free some space and run the same snakemake command again; finished work is kept",
    errno.EDQUOT: "free some space and run the same snakemake command again; finished work is kept",
    errno.EROFS: "make the folder writable, or run in another one",
    errno.EACCES: "make the file or folder accessible to this user, or run in another one",
}


_MEMORY = (
    "lower memory_mib of the model or batch_rows of the method, or batch_tokens, batch or "
    "batch_facts of the experiment, in the config and run again; or use a device with more memory"
)


def _remedy(error: Exception) -> str | None:
    """What to do about a package, disk or memory, however a library says so."""
    if isinstance(error, ModuleNotFoundError):
        return str(shipped.lacking(error))
    # By its name: torch is not imported here. Without a device it raises a RuntimeError instead.
    if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error):
        return _MEMORY
    for number, remedy in _REMEDIES.items():
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            return remedy
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caploc",
        usage="caploc COMMAND ... | caploc STAGE [options]",
        fromfile_prefix_chars="@",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Commands; `caploc COMMAND --help` says more:\n" + _summaries(),
        epilog="A stage is one step of the workflow. Snakemake calls it with these options;\n"
        "the log of a job shows its command, which can be repeated by hand.",
    )
    parser.add_argument("stage", choices=list(plugins.stages()), metavar="STAGE",
                        help=", ".join(list(plugins.stages())))  # fmt: skip
    parser.add_argument("--spec", default="{}", help="settings of the stage as JSON")
    parser.add_argument("--code", default="", help="digest of the code, stored with the outputs")
    parser.add_argument("--threads", type=int, default=1, help="processor threads (default 1)")
    parser.add_argument("--log", type=Path, help="also write messages to this file")
    for kind in ("input", "output"):
        parser.add_argument(
            f"--{kind}", nargs="+", action="append", default=[], metavar="NAME=PATH",
            help=f"named {kind}; further paths of the same name may follow",
        )  # fmt: skip
    return parser


def _summaries() -> str:
    """A line for each command: the first of its module, which is not loaded."""
    found = {}
    for name in plugins.names("commands"):
        path = Path(__file__).with_name("commands") / f"{name}.py"
        found[name] = path.read_text(encoding="utf-8").splitlines()[0].strip('"')
    return "\n".join(f"  {name:<9}{told}" for name, told in found.items())


def _log_to(path: Path | None) -> None:
    """Send messages, beside stderr, to a log file: a terminal stays readable."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        handler.setFormatter(_Discreet(_FORMAT, _TIME))
        logging.getLogger().addHandler(handler)
    # Libraries speak only when something is wrong; their INFO lines would bury ours.
    for name in ("httpx", "datasets", "transformers", "huggingface_hub", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Discreet(logging.Formatter):
    """Leaves access tokens out of messages and tracebacks, whichever library wrote them there."""

    def format(self, record: logging.LogRecord) -> str:
        return discreet(super().format(record))


def _files(groups: list[list[str]]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for first, *rest in groups:
        name, _, path = first.partition("=")
        files[name] = [Path(p) for p in [path, *rest] if p]
    return files


if __name__ == "__main__":
    sys.exit(main())
