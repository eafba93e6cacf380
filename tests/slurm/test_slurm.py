"""The small run on a real Slurm: two nodes, one of them lost; jobs killed, requeued; master killed.

The cluster is started here, by whoever runs the tests, and stopped at the end. Whatever happens,
the results must equal those of a run without Slurm, byte for byte.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing_programs
from workflow_copy import REPOSITORY, Workflow, copy_repository, copy_with_results

pytestmark = [pytest.mark.workflow, pytest.mark.slurm]

SMALL = str(REPOSITORY / "tests/workflow/small.yaml")
# Apart from the environment, because it slows every call of Snakemake; `make` puts it there.
PLUGIN = Path(sys.prefix) / "slurm"
OPTIONS = (
    "--workflow-profile", "profiles/slurm", "--configfile", SMALL,
    # what a cluster of two processors, no accounts and no accounting data base needs
    "--cores", "2", "--slurm-no-account", "--slurm-status-command", "squeue",
    # and what makes it quick
    "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
    "--latency-wait", "10",
)  # fmt: skip
SHARD = "results/small/attributions/tiny/emotions/cnl/shard-{:04d}.parquet"
PATIENCE = 600  # seconds for any one call, on a busy machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, need) -> Iterator[Cluster]:
    missing = missing_programs()
    need("slurm", not missing, f"no {', '.join(missing)} (apt-get install slurm-wlm munge)")
    need("slurm", PLUGIN.is_dir(), "no Slurm plug-in of Snakemake (make .venv/.installed-dev)")
    # Short, because a socket's path has at most 107 characters.
    started = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def local(cluster, tmp_path_factory) -> Workflow:
    """The small run without Slurm; tests must leave it as it is."""
    workflow = copy_repository(tmp_path_factory.mktemp("local") / "caploc")
    workflow.run(config=SMALL)
    return workflow


@pytest.fixture
def unscored(local, tmp_path) -> Workflow:
    """A copy of it whose scores, and all that follows from them, are still to be made."""
    workflow = copy_with_results(local, tmp_path / "caploc")
    for name in ("attributions", "converged", "scores", "masks", "agreement", "overlap", "tables"):
        shutil.rmtree(workflow.folder / "results/small" / name)
    (workflow.folder / "results/small/report.html").unlink()
    return workflow


@pytest.fixture
def submit(cluster) -> Iterator[Callable[..., "Master"]]:
    """Start Snakemake with profiles/slurm."""
    masters: list[Master] = []

    def start(workflow: Workflow, *arguments: str) -> Master:
        masters.append(Master(cluster, workflow, arguments))
        return masters[-1]

    yield start
    for master in masters:
        master.kill()
    cluster.call("scancel", "--me")


class Master:
    """One call of Snakemake that submits jobs."""

    def __init__(self, cluster: Cluster, workflow: Workflow, arguments: tuple[str, ...]) -> None:
        self.cluster = cluster
        self.earlier = {job["id"] for job in cluster.jobs()}
        self.log = workflow.folder / "master.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).parent / "snakemake", *arguments, *OPTIONS],
                cwd=workflow.folder,
                env=cluster.environment
                | {
                    "HOME": str(workflow.folder / "home"),
                    "PYTHONPATH": f"{workflow.folder / 'workflow'}:{PLUGIN}",
                    "HF_HUB_OFFLINE": "1",
                    "OMP_NUM_THREADS": "1",
                },
                stdout=log,
                stderr=log,
            )

    def jobs(self, name: str = "") -> list[dict[str, str]]:
        """Jobs of this call, by the name of their rule or group."""
        return [job for job in self.cluster.jobs(name) if job["id"] not in self.earlier]

    def wait_for(self, name: str, state: str, count: int = 1) -> list[dict[str, str]]:
        """Jobs of a rule, as soon as so many of them are in a state."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = [job for job in self.jobs(name) if job["state"] == state]
            if len(found) >= count:
                return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        raise AssertionError(f"{name} never {state}: {self.jobs()}\n{self.said()}")

    def finish(self) -> None:
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.jobs()}\n{self.said()}") from None
        assert code == 0, self.said()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text()[-6000:]


def same_files(local: Workflow, other: Workflow, folder: str) -> None:
    """Every file of a folder of the results, receipts too, is the same byte for byte."""
    ours, theirs = (workflow.folder / "results/small" / folder for workflow in (local, other))
    names = sorted(path.relative_to(ours) for path in ours.rglob("*.*"))
    assert names and names == sorted(path.relative_to(theirs) for path in theirs.rglob("*.*"))
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


@pytest.fixture(scope="module")
def whole(local, cluster, tmp_path_factory) -> tuple[Workflow, list[dict[str, str]]]:
    """The small run from nothing on Slurm, one rule with a GPU, and its jobs."""
    workflow = copy_repository(tmp_path_factory.mktemp("whole") / "caploc")
    master = Master(cluster, workflow, ("--set-resources", "evaluate_base:gpu=1"))
    try:
        master.finish()
    finally:
        master.kill()
    gpus = ({"gpus": cluster.details(job["id"]).get("TresPerJob", "")} for job in master.jobs())
    return workflow, [job | more for job, more in zip(master.jobs(), gpus, strict=True)]


def test_the_whole_run_equals_the_local_one(local, whole):
    same_files(local, whole[0], "tables")
    same_files(local, whole[0], "masks")
    same_files(local, whole[0], "attributions")
    assert (whole[0].folder / "results/small/report.html").stat().st_size > 10_000


def test_every_node_took_jobs_and_the_gpu_was_asked_for(whole):
    jobs = whole[1]
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert {job["node"] for job in jobs} == {"n1", "n2"}
    with_gpu = [job for job in jobs if job["gpus"]]
    assert [job["comment"].split("_wildcards")[0] for job in with_gpu] == ["rule_evaluate_base"]
    assert [(job["node"], job["gpus"]) for job in with_gpu] == [("n1", "gres:gpu:1")]


def test_small_jobs_share_a_slurm_job(whole):
    names = [job["comment"].split("_wildcards")[0].removeprefix("rule_") for job in whole[1]]
    tables = (
        "tables_tabulate_agreement_tabulate_base_tabulate_completeness_tabulate_neurons_"
        "tabulate_samples_..."
    )
    assert sorted(names) == [
        "attribute_shard", "attribute_shard", "check_splits", "evaluate_base",
        "masks_build_mask_measure_agreement_measure_overlap", "prepare_samples",
        "score_converged", "scores_aggregate_scores", tables, "train_model",
    ]  # fmt: skip
    # Two processors: five tables in three rounds of ten minutes, then the report.
    job = whole[1][names.index(tables)]
    assert (job["cpus"], job["memory"], job["minutes"]) == ("2", "4000M", "40:00")


def test_a_killed_job_is_submitted_anew_with_more_and_a_requeued_one_runs_again(
    local, unscored, submit, cluster
):
    master = submit(unscored, "attributions")
    killed, requeued = (job["id"] for job in master.wait_for("attribute_shard", "RUNNING", 2))
    cluster.call("scancel", killed)
    cluster.call("scontrol", "requeue", requeued)
    master.finish()
    jobs = {job["id"]: job for job in master.jobs("attribute_shard")}
    (new,) = jobs.keys() - {killed, requeued}
    assert jobs[killed]["state"] == "CANCELLED"
    assert (jobs[killed]["memory"], jobs[killed]["minutes"]) == ("4000M", "1:00:00")
    assert jobs[new]["comment"] == jobs[killed]["comment"]
    assert (jobs[new]["memory"], jobs[new]["minutes"]) == ("8000M", "2:00:00")
    assert jobs[requeued]["state"] == jobs[new]["state"] == "COMPLETED"
    assert cluster.details(requeued)["Restarts"] == "1"
    same_files(local, unscored, "attributions")
    # Slurm's log of the killed one is kept, and caploc's own log is where it always is.
    assert [path.stem for path in unscored.folder.glob("logs/slurm/**/*.log")] == [killed]
    assert len(list(unscored.folder.glob("logs/small/attribute_shard/**/*.log"))) == 2


def test_a_node_lost_in_mid_run(local, unscored, submit, cluster):
    master = submit(unscored, "attributions")
    running = master.wait_for("attribute_shard", "RUNNING", 2)
    assert {job["node"] for job in running} == {"n1", "n2"}
    try:
        cluster.lose_node("n2")
        master.finish()
        (moved,) = (job["id"] for job in running if job["node"] == "n2")
        ends = {job["id"]: job["node"] for job in master.jobs("attribute_shard")}
        assert ends == {job["id"]: "n1" for job in running}
        assert cluster.details(moved)["Restarts"] == "1"
    finally:
        cluster.return_node("n2")
    same_files(local, unscored, "attributions")


def test_a_killed_master_leaves_its_jobs_and_a_second_one_uses_them(
    local, unscored, submit, cluster
):
    master = submit(unscored)
    master.wait_for("attribute_shard", "RUNNING", 2)
    master.kill()
    end = time.monotonic() + PATIENCE
    while cluster.call("squeue", "-h"):
        assert time.monotonic() < end, cluster.jobs()
        time.sleep(0.2)
    made = {path: os.stat(unscored.folder / path).st_mtime_ns for path in map(SHARD.format, (0, 1))}
    unscored.run("--unlock", config=SMALL)
    second = submit(unscored)
    second.finish()
    assert second.jobs("tables")
    assert not second.jobs("attribute_shard")
    assert made == {path: os.stat(unscored.folder / path).st_mtime_ns for path in made}
    same_files(local, unscored, "tables")
