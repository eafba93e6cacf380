"""One process at a time makes a file; the lock ends with its process."""

import subprocess
import sys
import time

from caploc.jobs.locks import alone

HOLD = """
import sys, time
from pathlib import Path
from caploc.jobs.locks import alone
path, other = Path(sys.argv[1]), Path(sys.argv[2])
with alone(path) as waited:
    other.write_text(str(waited))
    time.sleep(float(sys.argv[3]))
    path.write_text("made")
"""


def holder(path, sign, seconds):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(sign), str(seconds)])
    while not sign.is_file():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_alone_nobody_waits_and_nothing_stays(tmp_path):
    path = tmp_path / "deep" / "file"
    with alone(path) as waited:
        assert not waited
    assert list(path.parent.iterdir()) == []


def test_the_second_waits_until_the_first_has_made_the_file(tmp_path, caplog):
    path = tmp_path / "file"
    process = holder(path, tmp_path / "sign", 0.5)
    with alone(path) as waited:
        assert waited
        assert path.read_text() == "made"
    assert process.wait() == 0
    assert f"waiting for process {process.pid} on " in caplog.text
    assert not list(tmp_path.glob(".*"))


def test_a_killed_holder_blocks_nobody(tmp_path):
    path = tmp_path / "file"
    process = holder(path, tmp_path / "sign", 60)
    process.kill()
    process.wait()
    with alone(path) as waited:
        assert not waited
    assert not path.exists()


def test_many_at_once_are_one_after_the_other(tmp_path):
    """The removal of the lock's name is where two could get in."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom caploc.jobs.locks import alone\n"
        "path = Path(sys.argv[1])\n"
        "for _ in range(300):\n"
        "    with alone(path):\n"
        "        n = int(path.read_text())\n"
        "        path.write_text(str(n + 1))\n"
    )
    path = tmp_path / "file"
    path.write_text("0")
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert path.read_text() == "900"
