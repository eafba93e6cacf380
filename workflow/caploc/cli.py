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
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # Thread pools read these when their library is loaded, so they are set before any import.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
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
        print(f"caploc {options.stage}: error: {error}", file=sys.stderr)
        return 2
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
    for kind in ("input", "output"):
        parser.add_argument(
            f"--{kind}", nargs="+", action="append", default=[], metavar="NAME=PATH",
            help=f"named {kind}; further paths of the same name may follow",
        )  # fmt: skip
    return parser


def _files(groups: list[list[str]]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for first, *rest in groups:
        name, _, path = first.partition("=")
        files[name] = [Path(p) for p in [path, *rest] if p]
    return files


if __name__ == "__main__":
    sys.exit(main())
