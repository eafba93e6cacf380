"""A Slurm cluster of two nodes on this machine: no root, no system service, one scratch folder."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "squeue", "scancel", "scontrol", "srun")
NODES = ("n1", "n2")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


class Cluster:
    """Daemons started by this object and stopped by it, by process id.

    n1 has a fake GPU, n2 has none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}
        folder.chmod(0o755)  # munged insists
        (folder / "bin").mkdir()
        # The executor removes SLURM_* before it calls srun, which then finds no configuration.
        srun = folder / "bin" / "srun"
        real = shutil.which("srun", path=_PATH)
        srun.write_text(f'#!/bin/sh\nexport SLURM_CONF={folder}/slurm.conf\nexec {real} "$@"\n')
        srun.chmod(0o755)
        self.environment = {
            "PATH": f"{folder}/bin:{_PATH}", "SLURM_CONF": str(folder / "slurm.conf"),
        }  # fmt: skip
        self._configure()

    def _configure(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        (self.folder / "gpu").touch()
        host = socket.gethostname().split(".")[0]
        user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
        controller, *ports = _free_ports(1 + len(NODES))
        folder = self.folder
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (folder / name).mkdir()
        lines = [
            "ClusterName=test", f"SlurmctldHost={host}(127.0.0.1)", f"SlurmctldPort={controller}",
            f"SlurmUser={user}", f"SlurmdUser={user}", "AuthType=auth/munge",
            f"AuthInfo=socket={folder}/munge.sock", "CredType=cred/munge",
            f"StateSaveLocation={folder}/state", f"SlurmdSpoolDir={folder}/spool-%n",
            f"SlurmctldPidFile={folder}/slurmctld.pid", f"SlurmdPidFile={folder}/slurmd-%n.pid",
            f"SlurmctldLogFile={folder}/slurmctld.log", f"SlurmdLogFile={folder}/slurmd-%n.log",
            "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none",
            "JobAcctGatherType=jobacct_gather/none",
            "AccountingStorageType=accounting_storage/none", "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory", "ReturnToService=2", "MinJobAge=300",
            "SchedulerParameters=batch_sched_delay=0,sched_interval=2", "KillWait=2",
            "PropagateResourceLimits=NONE", "SlurmdParameters=config_overrides", "GresTypes=gpu",
            "SlurmdTimeout=10", "JobRequeue=1",
        ]  # fmt: skip
        for node, port in zip(NODES, ports, strict=True):
            gpu = " Gres=gpu:1" if node == "n1" else ""
            lines.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 "
                f"RealMemory=20000{gpu}"
            )
        lines.append("PartitionName=main Nodes=n[1-2] Default=YES LLN=YES MaxTime=600")
        (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        (folder / "gres.conf").write_text(f"NodeName=n1 Name=gpu File={folder}/gpu\n")

    def start(self) -> None:
        folder = self.folder
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={folder}/munge.key",
            f"--socket={folder}/munge.sock", f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        self._wait("munge", lambda: (folder / "munge.sock").exists())
        self._daemon("slurmctld", "-D", "-f", str(folder / "slurm.conf"), "-c")
        for node in NODES:
            self.start_node(node)
        self._wait("nodes", lambda: self.call("sinfo", "-h", "-o", "%T").split() == ["idle"])

    def start_node(self, node: str) -> None:
        self._daemon("slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", node, name=node)

    def lose_node(self, node: str) -> None:
        """Kill the daemon of a node and all that runs on it, as a power cut does."""
        self._kill_tree(self.daemons.pop(node).pid)
        self.call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def stop(self) -> None:
        self.call("scancel", "--me", check=False)
        for name in (*NODES, "slurmctld", "munged"):
            daemon = self.daemons.pop(name, None)
            if daemon is not None:
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                daemon.kill()
                daemon.wait()

    def call(self, *words: str, check: bool = True) -> str:
        environment = os.environ | self.environment
        done = subprocess.run(
            list(words), env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Jobs that Slurm knows, finished ones too."""
        text = self.call("squeue", "-h", "-t", "all", "-o", "%i|%T|%N|%b|%r|%k")
        names = ("id", "state", "node", "gres", "reason", "comment")
        return [dict(zip(names, line.split("|", 5), strict=True)) for line in text.splitlines()]

    def _daemon(self, program: str, *options: str, name: str | None = None) -> None:
        path = shutil.which(program, path=_PATH)
        with (self.folder / f"{name or program}.out").open("ab") as output:
            self.daemons[name or program] = subprocess.Popen(
                [str(path), *options], env=os.environ | self.environment, stdout=output,
                stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _wait(self, what: str, ready) -> None:
        for _ in range(300):
            if ready():
                return
            for name, daemon in self.daemons.items():
                assert daemon.poll() is None, f"{name} ended: {self._outputs()}"
            time.sleep(0.2)
        raise AssertionError(f"no {what} after a minute: {self._outputs()}")

    def _outputs(self) -> str:
        files = [*self.folder.glob("*.out"), *self.folder.glob("*.log")]
        return "\n".join(f"{path.name}:\n{path.read_text()[-1500:]}" for path in files)

    def _kill_tree(self, pid: int) -> None:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        found = children.read_text().split() if children.exists() else []
        # Job steps of a node are children of its daemon, or (slurmstepd) carry its name.
        for child in map(int, found):
            self._kill_tree(child)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
