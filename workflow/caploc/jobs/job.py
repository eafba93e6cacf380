"""One run of one stage, and where what it makes came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from caploc.jobs.digests import file_digest
from caploc.settings import read

__all__ = ["Job"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one stage, as the workflow asked for it.

    Attributes:
        stage: name of the module that is run.
        spec: exactly the settings this stage consumes, from the config.
        code: digest of the code, from `code_digest`.
        inputs: named input files; a name may hold several.
        outputs: named files to make.
        threads: processor threads the job may use; changes the speed only.
        rule: of Snakemake that runs it, where that is known; several rules may run one stage.
    """

    stage: str
    spec: dict[str, Any]
    code: str
    inputs: dict[str, list[Path]]
    outputs: dict[str, Path]
    threads: int = 1
    rule: str = ""

    def input(self, name: str) -> Path:
        """The single input file called `name`."""
        (path,) = self.inputs[name]
        return path

    def told(self, kind: type[T]) -> T:
        """The settings of the job, as the dataclass that its stage reads.

        Raises:
            DataError: the settings are not those of this class.
        """
        return read(kind, self.spec)

    def origin(self) -> dict[str, Any]:
        """What is stored with every output: stage, settings, code and digests of the inputs."""
        return {
            "stage": self.stage,
            "spec": self.spec,
            "code": self.code,
            "inputs": {
                name: [file_digest(path) for path in paths] for name, paths in self.inputs.items()
            },
        }
