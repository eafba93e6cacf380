"""Puts the files of the workflow into the package; pyproject.toml says all the rest."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (
    "Snakefile",
    "config.yaml",
    "config/*",
    "profiles/*/*",
    "envs/caploc.yaml",
    "workflow/rules/*.smk",
    "workflow/schemas/*",
)


class WithWorkflow(build_py):
    """Lays them where `caploc.shipped` looks; an editable install uses the repository."""

    def run(self) -> None:
        """Copy, after the modules."""
        super().run()
        if self.editable_mode:
            return
        root = Path(__file__).parent
        for path in (p for pattern in SHIPPED for p in root.glob(pattern)):
            target = Path(self.build_lib, "caploc/shipped_files", path.relative_to(root))
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": WithWorkflow})
