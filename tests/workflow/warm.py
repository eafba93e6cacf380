"""A process that has loaded the libraries once, and forks for every command that it is sent.

A start of `caploc` or Snakemake takes seconds, nearly all of them imports. `programs()` is a folder
like that of a virtual environment whose `bin/caploc` and `bin/snakemake` hand their arguments,
folder, environment and open files to the process here; a fork of it runs the command. Nothing of
caploc is loaded before the fork, so that a copy with edits runs its own code. Tests of kills, of a
newcomer and of Slurm start the real programs.
"""

import atexit
import fcntl
import marshal
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path

_LIBRARIES = (
    "torch", "transformers", "transformers.models.llama.modeling_llama", "tokenizers", "peft",
    "safetensors.torch", "datasets", "numpy", "polars", "pyarrow.parquet", "jinja2", "jsonschema",
    "yaml", "altair", "vl_convert", "sacrebleu", "rich.live", "snakemake.cli", "snakemake.workflow",
    "snakemake.dag", "snakemake.scheduling.job_scheduler", "snakemake.executors.local",
    "snakemake.report",
)  # fmt: skip
# Runs without the library `site`, in a hundredth of a second.
_STUB = """#!{python} -IS
import _socket, marshal, os, sys
client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
client.connect({address!r})
told = marshal.dumps(({name!r}, sys.argv, os.getcwd(), dict(os.environ)))
files = b"".join(n.to_bytes(4, sys.byteorder) for n in range(3))
rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)
client.sendmsg([len(told).to_bytes(8, "big")], [rights])
client.sendall(told)
status = client.recv(1)
os._exit(status[0] if status else 137)  # 137: the fork was killed
"""


@cache
def programs() -> Path:
    """A folder to stand for a virtual environment; its process lives as long as this one."""
    scratch = tempfile.TemporaryDirectory(prefix="warm-")
    folder = Path(scratch.name)
    (folder / "bin").mkdir()
    real = Path(sys.executable).parent
    for path in real.iterdir():
        (folder / "bin" / path.name).symlink_to(path)
    for name in ("lib", "pyvenv.cfg"):
        (folder / name).symlink_to(Path(sys.prefix) / name)
    address = str(folder / "socket")
    for name in ("caploc", "snakemake"):
        stub = folder / "bin" / name
        stub.unlink()
        stub.write_text(_STUB.format(python=sys.executable, address=address, name=name))
        stub.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    server = subprocess.Popen(
        [sys.executable, __file__, str(listener.fileno())], pass_fds=[listener.fileno()],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    listener.close()

    def end() -> None:
        server.terminate()
        server.wait()
        scratch.cleanup()

    atexit.register(end)
    return folder


def serve(listener: socket.socket) -> None:
    """Load, then fork for each connection; the fork answers, so that nobody waits for it here."""
    for name in _LIBRARIES:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getppid()
    listener.settimeout(5)
    while os.getppid() == parent:  # tests that were killed leave nothing behind
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            status = 1
            try:
                status = _run(connection)
            except BaseException:
                traceback.print_exc()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            connection.send(bytes([status & 255]))
            os._exit(status & 255)
        connection.close()


def _run(connection: socket.socket) -> int:
    """Be the command: its folder, its environment, its open files, its arguments."""
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    told = b""
    while len(told) < int.from_bytes(size, "big"):
        told += connection.recv(1 << 20)
    name, arguments, folder, environment = marshal.loads(told)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # When whoever sent the command is gone, the kernel ends this process.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(connection, fcntl.F_SETFL, os.O_ASYNC)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0:1] = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
    sys.argv = arguments
    if name == "snakemake":  # jobs find `caploc` beside the Python that runs Snakemake
        sys.executable = str(Path(arguments[0]).parent / "python")
        command = import_module("snakemake.cli").main
    else:
        import_module("torch").set_num_threads(_threads(arguments))
        command = import_module("caploc.cli").main
    try:
        return command() or 0
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _threads(arguments: list[str]) -> int:
    """What libraries read from the environment when they are loaded."""
    if "--threads" in arguments:
        return int(arguments[arguments.index("--threads") + 1])
    return int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
