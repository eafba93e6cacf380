"""Every command and every message of docs/operations.md, in a run in which the fault happened."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import documented
import pytest
from documented import SECTIONS, shows, type_in

import faults
from caploc import cli

pytestmark = pytest.mark.workflow
SCORES = "results/mine/scores/tiny/emotions/cnl.parquet"


def types(folder, title, *statuses):
    """Type the commands of a section; status 0 is expected unless told otherwise."""
    commands = SECTIONS[title].commands
    texts = []
    for command, wanted in zip(commands, statuses or [0] * len(commands), strict=True):
        status, text = type_in(folder, command)
        assert status == wanted, f"{command}\n{text[-3000:]}"
        texts.append(text)
    return texts


def again(folder, *arguments):
    """The one command of most sections, with a fault in its way."""
    return type_in(
        folder, " ".join([".venv/bin/snakemake --cores all --configfile mine.yaml", *arguments])
    )


def unchanged(folder, undisturbed):
    assert faults.tables(folder) == faults.tables(undisturbed)


def drop(folder, *names):
    """Remove tables, so that a few short jobs are left to do."""
    for name in names:
        for path in (folder / "results/mine/tables").glob(f"*{name}*"):
            path.unlink()
    (folder / "results/mine/report.html").unlink()


TESTED = {
    "Where the logs are": "test_logs",
    "A job was killed": "test_a_killed_job",
    "Snakemake itself was killed": "test_a_killed_snakemake_and_two_runs_at_once",
    "A time limit ended the run": "test_a_time_limit",
    "Two runs at once": "test_a_killed_snakemake_and_two_runs_at_once",
    "The disk is full": "test_a_full_disk",
    "Free disk space": "test_free_space",
    "A file is damaged": "test_a_damaged_file",
    "`.snakemake` was deleted": "test_lost_records",
    "Changed settings or code": "test_changed_settings",
    "The results cannot be written": "test_read_only_results",
    "The model cannot be downloaded": "test_no_network",
    "Out of memory": "test_out_of_memory",
}


def test_every_section_with_a_command_or_a_message_has_a_test():
    wanted = {title for title, found in SECTIONS.items() if found.commands or found.messages}
    assert wanted == TESTED.keys()
    assert all(name in globals() for name in TESTED.values())
    # All code blocks were understood: no other kind holds a command.
    assert set(re.findall(r"^```(\w+)$", documented.TEXT, flags=re.M)) == {"sh", "text"}


def test_logs(undisturbed):
    names, log = types(undisturbed, "Where the logs are")
    assert "attribute_shard" in names
    assert "build_mask" not in log and log


def test_a_killed_job(finished, undisturbed):
    drop(finished, "neurons")
    text, hit = faults.disturb(finished, faults.Kill("worker", 1, 0.0))
    assert hit
    shows("A job was killed", text)
    types(finished, "A job was killed")
    unchanged(finished, undisturbed)


def test_a_killed_snakemake_and_two_runs_at_once(finished, undisturbed):
    drop(finished, "neurons")
    first = faults.start(finished, name="first")
    while not faults.started((finished / "first.txt").read_text()):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGSTOP)
    status, text = again(finished)
    assert status == 1
    shows("Two runs at once", text)
    # Other files are another matter.
    other = (finished / "mine.yaml").read_text().replace("name: mine", "name: other")
    (finished / "other.yaml").write_text(other)
    command = ".venv/bin/snakemake --cores 1 samples --configfile other.yaml"
    status, text = type_in(finished, command)
    assert status == 0, text
    first.send_signal(signal.SIGCONT)
    first.wait(600)
    (text,) = types(finished, "Two runs at once")
    assert "Nothing to be done" in text
    unchanged(finished, undisturbed)
    drop(finished, "neurons")
    _, hit = faults.disturb(finished, faults.Kill("snakemake", 1, 0.0))
    assert hit
    status, text = again(finished)
    assert status == 1
    shows("Snakemake itself was killed", text)
    types(finished, "Snakemake itself was killed")
    unchanged(finished, undisturbed)


def test_a_time_limit(finished, undisturbed):
    drop(finished, "neurons", "base")
    process = faults.start(finished, name="limited")
    while not faults.started((finished / "limited.txt").read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) != 0
    text = (finished / "limited.txt").read_text()
    assert len(faults.finished(text)) == len(faults.started(text)) > 0, text
    types(finished, "A time limit ended the run")
    unchanged(finished, undisturbed)


def test_a_full_disk(finished, undisturbed, tmp_path):
    """A small file system under the results; where none may be mounted, tests/test_receipts.py."""
    drop(finished, "neurons")
    folder = finished / "results/mine"
    kept = tmp_path / "kept"
    shutil.move(folder, kept)
    folder.mkdir()
    size = sum(p.stat().st_blocks * 512 for p in kept.rglob("*")) + 400_000
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        filler = folder / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            while True:
                file.write(bytes(512))
                file.flush()
        status, text = again(finished)
        assert status == 1
        shows("The disk is full", text)
        assert not list(folder.rglob(".*.part"))
        filler.unlink()
        sizes, _ = types(finished, "The disk is full")
        assert "results/mine/attributions" in sizes
        unchanged(finished, undisturbed)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_free_space(finished):
    _, text = types(finished, "Free disk space")
    shows("Free disk space", text)


def test_a_damaged_file(finished, undisturbed):
    path = finished / SCORES
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)
    # As a failing disk does it: the time stays.
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for mask in (finished / "results/mine/masks").rglob("*s3.parquet"):
        mask.unlink()
    drop(finished, "neurons")
    status, text = again(finished)
    assert status == 1
    shows("A file is damaged", text)
    types(finished, "A file is damaged")
    unchanged(finished, undisturbed)


def test_lost_records(finished):
    shutil.rmtree(finished / ".snakemake")
    (verify,) = SECTIONS["`.snakemake` was deleted"].commands
    assert type_in(finished, verify)[0] == 0
    config = finished / "mine.yaml"
    config.write_text(config.read_text().replace("Killed many times", "Another title"))
    assert "Nothing to be done" in again(finished, "-n")[1]
    status, text = type_in(finished, verify)
    assert status == 1
    shows("`.snakemake` was deleted", text)
    (line,) = [line for line in text.splitlines() if line.startswith("make anew: ")]
    status, text = type_in(finished, f".venv/bin/{line.removeprefix('make anew: ')}")
    assert status == 0, text
    assert list(faults.started(text).values()) == ["results/mine/report.html"]
    assert type_in(finished, verify)[0] == 0


def test_changed_settings(finished):
    config = finished / "mine.yaml"
    config.write_text(config.read_text().replace("Killed many times", "Another title"))
    plan, done = types(finished, "Changed settings or code")
    assert "write_report" in plan and "attribute_shard" not in plan
    assert list(faults.started(done).values()) == ["results/mine/report.html"]


AS_NOBODY = """
import os, sys
from caploc import cli
from caploc.jobs import receipts
from caploc.stages import tabulate_neurons
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
sys.exit(cli.main(sys.argv[1:]))
"""


def test_read_only_results(finished, undisturbed):
    """As an ordinary user: root may write everywhere."""
    folder = finished / "results/mine/tables"
    for parent in [folder, *folder.parents][:-1]:
        if os.access(parent, os.W_OK) and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    drop(finished, "neurons")
    masks = [str(path) for path in (finished / "results/mine/masks").rglob("s3.parquet")]
    folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "tabulate_neurons", "--input", f"masks={masks[0]}",
         "--output", f"csv={folder}/neurons.csv", "--output", f"parquet={folder}/neurons.parquet"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    shows("The results cannot be written", done.stderr)
    types(finished, "The results cannot be written")
    assert folder.stat().st_mode & 0o200
    unchanged(finished, undisturbed)


def test_no_network(finished, save_model):
    config = finished / "mine.yaml"
    text = config.read_text()
    remote = "  remote: {family: llama, repo: some/model}\n"
    text = text.replace("models: [tiny]", "models: [remote]")
    config.write_text(text.replace("\ntasks:\n", f"{remote}\ntasks:\n"))
    (command,) = SECTIONS["The model cannot be downloaded"].commands
    status, said = type_in(finished, command)
    assert status == 1
    shows("The model cannot be downloaded", said)
    config.write_text(config.read_text().replace("repo: some/model", f"path: {save_model()}"))
    types(finished, "The model cannot be downloaded")


@pytest.mark.parametrize("kind", ["device", "machine"])
def test_out_of_memory(tmp_path, monkeypatch, caplog, kind):
    import torch

    def fail(job):
        if kind == "device":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        torch.empty(2**55, dtype=torch.uint8)

    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(run=fail))
    for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        monkeypatch.setenv(variable, "1")
    assert cli.main(["build_mask", "--output", f"mask={tmp_path}/mask"]) == 2
    if kind == "device":
        shows("Out of memory", caplog.text)
    assert "lower memory_mib of the model or batch_rows of the method" in caplog.text
    assert "Traceback" not in caplog.text
