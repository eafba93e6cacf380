"""`caploc <stage>`: what the rules call. `caploc --help` lists the stages."""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from caploc import plugins
from caploc.provenance import Job
from caploc.records import DataError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; 0 on success, 2 with a one-line message for a bad file or setting."""
    options = _parser().parse_args(arguments)
    _log_to(options.log)
    # Thread pools read these when their library is loaded, so they are set before any import.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    # Waiting threads that spin starve each other on a shared machine (measured: 4 times slower).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["POLARS_MAX_THREADS"] = str(options.threads)
    try:
        job = Job(
            stage=options.stage,
            spec=json.loads(options.spec),
            code=options.code,
            inputs=_files(options.input),
            outputs={name: paths[0] for name, paths in _files(options.output).items()},
            threads=options.threads,
        )
        plugins.load("stages", options.stage).run(job)
    except DataError as error:
        logging.getLogger("caploc").error("caploc %s: error: %s", options.stage, error)
        return 2
    except Exception:
        logging.getLogger("caploc").exception("caploc %s failed", options.stage)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caploc",
        description="Run one stage of the workflow. Normally Snakemake does this for you; the log "
        "of each job shows the exact command, which can be repeated by hand.",
    )
    parser.add_argument("stage", choices=plugins.names("stages"), metavar="STAGE",
                        help=", ".join(plugins.names("stages")))  # fmt: skip
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


def _log_to(path: Path | None) -> None:
    """Send messages to stderr and, if given, to a log file: a terminal stays readable."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w", encoding="utf-8"))
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=handlers
    )
    # Libraries speak only when something is wrong; their INFO lines would bury ours.
    for name in ("httpx", "datasets", "transformers", "huggingface_hub", "filelock"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _files(groups: list[list[str]]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for first, *rest in groups:
        name, _, path = first.partition("=")
        files[name] = [Path(p) for p in [path, *rest] if p]
    return files


if __name__ == "__main__":
    sys.exit(main())
