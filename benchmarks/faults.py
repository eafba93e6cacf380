"""Kill a small run at random moments, mend it with the documented commands, compare the tables.

    .venv/bin/python benchmarks/faults.py

Ten runs lose a worker to SIGKILL, ten Snakemake itself (its jobs go on as orphans). The moment is a
seeded number of jobs that have started and a seeded time after that, so that it lies inside the run
on a slow machine too. A run counts as recovered when `snakemake --unlock` (after a kill of
Snakemake) and the same command again end well, no job that had been recorded as finished started
again, and every table and the report have the bytes of an undisturbed run.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from machine import save

REPOSITORY = Path(__file__).resolve().parents[1]
SNAKEMAKE = Path(sys.executable).parent / "snakemake"
CONFIG = "mine.yaml"
RESULTS = Path("results/mine")
_PATIENCE = 600.0


@dataclass(frozen=True)
class Kill:
    """When to kill what: `delay` seconds after job number `job` has started."""

    victim: str  # worker or snakemake
    job: int
    delay: float


@dataclass(frozen=True)
class Outcome:
    """What a kill cost."""

    kill: Kill
    recovered: bool
    identical: bool
    recorded: int  # jobs recorded as finished before the kill
    in_flight: int  # jobs that had started and were not
    restarted: int  # jobs in flight that started again
    repeated: list[str]  # recorded jobs that started again: must be empty


def copy_workflow(folder: Path) -> Path:
    """A copy of the workflow in which nothing has run."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "config.yaml", "config/embedded.yaml", "tests/faults/mine.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("workflow", "profiles", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    return folder


def start(folder: Path, *arguments: str, name: str = "run") -> subprocess.Popen[bytes]:
    """Start Snakemake; what it prints goes to <name>.txt in the folder."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(folder / "workflow"),
        "HF_HUB_OFFLINE": "1",
    }
    with (folder / f"{name}.txt").open("wb") as text:
        return subprocess.Popen(
            [SNAKEMAKE, "--cores", "2", *arguments, "--configfile", CONFIG],
            cwd=folder, env=environment, stdout=text, stderr=subprocess.STDOUT,
        )  # fmt: skip


def call(folder: Path, *arguments: str, name: str = "run") -> tuple[int, str]:
    """Run Snakemake to its end: status and what it printed."""
    status = start(folder, *arguments, name=name).wait(_PATIENCE)
    return status, (folder / f"{name}.txt").read_text()


def started(text: str) -> dict[str, str]:
    """First output of every job that Snakemake's text says has started, by job number."""
    line = r"(?:    .*\n)*?"
    pattern = rf"^(?:local)?rule \w+:\n{line}    output: ([^,\n]+).*\n{line}    jobid: (\d+)"
    return {job: output for output, job in re.findall(pattern, text, flags=re.M)}


def finished(text: str) -> set[str]:
    """First outputs of the jobs that Snakemake has recorded as finished."""
    jobs = started(text)
    done = re.findall(r"^Finished jobid: (\d+) ", text, flags=re.M)
    return {jobs[job] for job in done if job in jobs}


def workers(root: int) -> list[int]:
    """Process ids of the stages that run under a process."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                names[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it has just ended
                continue
            children.setdefault(int(status[1]), []).append(int(folder.name))
    found, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), []):
            todo.append(child)
            if re.match(r"\S*python\S* \S*/caploc \w+ --threads", names[child]):
                found.append(child)
    return found


def tables(folder: Path) -> dict[str, bytes]:
    """What a run is made for: its tables and its page."""
    paths = [*(folder / RESULTS / "tables").iterdir(), folder / RESULTS / "report.html"]
    return {path.name: path.read_bytes() for path in paths if not path.name.startswith(".")}


def disturb(folder: Path, kill: Kill, name: str = "disturbed") -> tuple[str, bool]:
    """Start a run and kill a part of it at a moment; returns what it printed, and whether killed.

    The worker that is killed is the youngest.
    """
    process = start(folder, name=name)
    text = folder / f"{name}.txt"
    deadline = time.monotonic() + _PATIENCE
    while len(started(text.read_text())) < kill.job and process.poll() is None:
        if time.monotonic() > deadline:
            raise TimeoutError(text.read_text()[-3000:])
        time.sleep(0.02)
    time.sleep(kill.delay)
    if kill.victim == "snakemake":
        hit = process.poll() is None
        process.kill()
        process.wait()
        return text.read_text(), hit
    hit = False
    while not hit and process.poll() is None:
        for pid in sorted(workers(process.pid), reverse=True)[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
                hit = True
            except ProcessLookupError:  # it ended in between
                pass
        time.sleep(0.02)
    process.wait(_PATIENCE)
    return text.read_text(), hit


def recover(folder: Path, kill: Kill, name: str = "again") -> tuple[int, str]:
    """The documented commands: unlock where Snakemake itself was killed, then the same again."""
    if kill.victim == "snakemake":
        status, text = call(folder, "--unlock", name="unlock")
        if status:
            return status, text
    return call(folder, name=name)


def examine(folder: Path, kill: Kill, wanted: dict[str, bytes]) -> Outcome:
    """Kill, recover, compare."""
    before, hit = disturb(folder, kill)
    status, after = recover(folder, kill)
    again = set(started(after).values())
    recorded = finished(before)
    identical = status == 0 and tables(folder) == wanted
    repeated = sorted(recorded & again)
    in_flight = set(started(before).values()) - recorded
    return Outcome(
        kill, hit and status == 0 and identical and not repeated, identical,
        len(recorded), len(in_flight), len(in_flight & again), repeated,
    )  # fmt: skip


def moments(n_jobs: int, n: int, seed: int) -> list[Kill]:
    """Seeded moments, one half for each victim."""
    draw = random.Random(seed)
    victims = ["worker"] * (n // 2) + ["snakemake"] * (n - n // 2)
    draw.shuffle(victims)
    return [Kill(v, draw.randint(1, n_jobs), round(draw.uniform(0, 2), 2)) for v in victims]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fresh = copy_workflow(root / "undisturbed")
        begin = time.perf_counter()
        status, text = call(fresh)
        seconds = time.perf_counter() - begin
        if status:
            sys.exit(text)
        wanted = tables(fresh)
        n_jobs = len(started(text))
        outcomes = []
        for i, kill in enumerate(moments(n_jobs, options.kills, options.seed)):
            outcomes.append(examine(copy_workflow(root / str(i)), kill, wanted))
            sys.stdout.write(f"{outcomes[-1]}\n")
            sys.stdout.flush()
            path = save("faults", summary(outcomes, n_jobs, seconds))
    sys.stdout.write(path.read_text())


def summary(outcomes: list[Outcome], n_jobs: int, seconds: float) -> dict[str, object]:
    """Counts over all kills so far, and each of them."""
    return {
        "what": "SIGKILL at seeded moments, then snakemake --unlock and the same command",
        "jobs_of_the_run": n_jobs,
        "undisturbed_seconds": round(seconds, 1),
        "kills": len(outcomes),
        "recovered": sum(o.recovered for o in outcomes),
        "tables_identical": sum(o.identical for o in outcomes),
        "recorded_jobs_started_again": sum(len(o.repeated) for o in outcomes),
        "jobs_in_flight": sum(o.in_flight for o in outcomes),
        "jobs_in_flight_started_again": sum(o.restarted for o in outcomes),
        "each": [
            {"victim": o.kill.victim, "after_job": o.kill.job, "seconds_later": o.kill.delay,
             "recorded": o.recorded, "in_flight": o.in_flight, "restarted": o.restarted,
             "recovered": o.recovered}
            for o in outcomes
        ],
    }  # fmt: skip


if __name__ == "__main__":
    main()
