"""With conda, jobs run in the environment that their rule names, and caploc from the repository.

There is no conda here: a stand-in makes an environment whose Python notes that it was called.
"""

import json
import sys

import pytest

pytestmark = pytest.mark.workflow

CONDA = """#!/bin/sh
case "$*" in
  *--version*) echo "conda 26.1.0" ;;
  *"info --json"*) echo '{info}' ;;
  *channel_priority*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  *"env create"*)
    while [ "$#" -gt 0 ]; do
      case "$1" in --file) file=$2 ;; --prefix) prefix=$2 ;; esac
      shift
    done
    mkdir -p "$prefix/bin" && cp "$file" {folder}/created.yaml
    printf '#!/bin/sh\\necho "$@" >> {folder}/calls\\nexec {python} "$@"\\n' > "$prefix/bin/python"
    chmod +x "$prefix/bin/python" ;;
esac
"""


def test_jobs_run_in_the_environment_of_their_rule(fresh, tmp_path):
    binaries = tmp_path / "bin"
    binaries.mkdir()
    info = json.dumps({"conda_prefix": str(tmp_path), "platform": "linux-64"})
    script = CONDA.format(info=info, folder=tmp_path, python=sys.executable)
    (binaries / "conda").write_text(script)
    (binaries / "conda").chmod(0o755)
    (binaries / "activate").write_text('PATH="$1/bin:$PATH"\n')
    path = {"PATH": f"{binaries}:/usr/bin:/bin"}
    fresh.run("results/test/pairs/calculations/card.md", "--sdm", "conda", **path)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("-m caploc.cli prepare_pairs --threads 1")
    assert (tmp_path / "created.yaml").read_text() == (
        fresh.folder / "envs/caploc.yaml"
    ).read_text()
