"""A copy of the workflow in a temporary folder, and ways to run it there."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from warm import programs

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Workflow:
    """One copy of the repository and ways to call Snakemake in it.

    Attributes:
        folder: of the copy.
        programs: folder of `bin/snakemake`; that of the environment starts it anew each time.
    """

    folder: Path
    programs: Path = field(default_factory=programs)

    def call(self, *arguments: str, config: str | None = "config/test.yaml", **environment: str):
        """Run snakemake with a bare PATH and no activated environment."""
        command = [str(self.programs / "bin/snakemake"), "--cores", "2", *arguments]
        if config is not None:
            command += ["--configfile", config]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.folder / "home"),
                # the copy's own library, so that tests can edit it
                "PYTHONPATH": str(self.folder / "workflow"),
                "HF_HUB_OFFLINE": "1",
            }
            | environment,
            capture_output=True,
            text=True,
            timeout=1800,  # a loaded machine is slow, not broken
        )

    def run(self, *arguments: str, **options) -> str:
        result = self.call(*arguments, **options)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
        return result.stdout + result.stderr

    def planned(self, *arguments: str, **options) -> dict[str, int]:
        """Rules that a call would run, with the number of jobs; the target rule left out."""
        text = self.run("--dry-run", *arguments, **options)
        rows = re.findall(r"^(\w+) +(\d+)$", text.partition("Job stats")[2], flags=re.M)
        return {name: int(count) for name, count in rows if name not in ("total", "all")}

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{name} no longer holds {old!r}: correct this test"
        path.write_text(text.replace(old, new, 1))


def copy_repository(folder: Path) -> Workflow:
    folder.mkdir(parents=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("config", "workflow", "profiles", "envs"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return Workflow(folder)


def copy_with_results(workflow: Workflow, folder: Path) -> Workflow:
    """A copy of all files of a run, with their times to the nanosecond."""
    shutil.copytree(workflow.folder, folder, copy_function=_copy_with_time)
    return Workflow(folder)


def _copy_with_time(source: str, target: str) -> None:
    shutil.copy2(source, target)
    status = os.stat(source)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
