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
            # a requeued job waits until its old credential has expired, two minutes by default
            f"AuthInfo=socket={folder}/munge.sock,cred_expire=5", "CredType=cred/munge",
            f"StateSaveLocation={folder}/state", f"SlurmdSpoolDir={folder}/spool-%n",
            f"SlurmctldPidFile={folder}/slurmctld.pid", f"SlurmdPidFile={folder}/slurmd-%n.pid",
            f"SlurmctldLogFile={folder}/slurmctld.log", f"SlurmdLogFile={folder}/slurmd-%n.log",
            "ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none",
            "JobAcctGatherType=jobacct_gather/none",
            "AccountingStorageType=accounting_storage/none", "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory", "ReturnToService=2", "MinJobAge=7200",
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
        self._wait("nodes", lambda: self._states() == {"idle"})

    def start_node(self, node: str) -> None:
        self._daemon("slurmd", "-D", "-f", str(self.folder / "slurm.conf"), "-N", node, name=node)

    def lose_node(self, node: str) -> None:
        """Kill the daemon of a node and all that runs on it, as a power cut does."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        while found := self._processes_of(node):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        self.call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def return_node(self, node: str) -> None:
        self.start_node(node)
        self.call("scontrol", "update", f"nodename={node}", "state=resume")
        self._wait("node", lambda: self._states() == {"idle"})

    def stop(self) -> None:
        if "slurmctld" in self.daemons:
            self.call("scancel", "--me", check=False)
            for _ in range(100):
                if not self.call("squeue", "-h", check=False):
                    break
                time.sleep(0.1)
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

    def jobs(self, name: str = "") -> list[dict[str, str]]:
        """Jobs that Slurm knows, finished ones too, whose comment holds a name; oldest first.

        The comment of the executor is ``rule_<rule or group>_wildcards_<values>``.
        """
        names = {
            "id": "%i", "state": "%T", "node": "%N", "memory": "%m", "minutes": "%l",
            "cpus": "%C", "comment": "%k",
        }  # fmt: skip
        text = self.call("squeue", "-h", "-t", "all", "-S", "i", "-o", "|".join(names.values()))
        rows = [line.split("|", len(names) - 1) for line in text.splitlines()]
        jobs = [dict(zip(names, row, strict=True)) for row in rows]
        return [job for job in jobs if name in job["comment"]]

    def details(self, job: str) -> dict[str, str]:
        """All that Slurm says of one job."""
        words = self.call("scontrol", "show", "job", job, "-o").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def _states(self) -> set[str]:
        return set(self.call("sinfo", "-h", "-N", "-o", "%T").split())

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

    def _processes_of(self, node: str) -> set[int]:
        """Daemon, job steps (they log where it does) and jobs (they know their node) of a node."""
        log = f"{self.folder}/slurmd-{node}.log"
        marks = {f"SLURMD_NODENAME={node}", f"SLURM_CONF={self.folder}/slurm.conf"}
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
                files = (process / "fd").iterdir()
                if marks <= set(variables) or any(log == os.readlink(file) for file in files):
                    found.add(int(process.name))
        return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
