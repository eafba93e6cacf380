"""Nothing foreign is run, nothing is written outside the results, no secret is written down."""

import ast
import json
import os
import pickle
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

import caploc
from caploc.cli import main
from caploc.config import check
from caploc.configfiles import read_files, refuse_programs
from caploc.models.loading import load_model
from caploc.records import DataError
from caploc.stages import train_model
from caploc.training import optimisation as _optimisation

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted(Path(caploc.__file__).parent.rglob("*.py"))
TOKEN = "hf_" + "aB3" * 12


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, sign):
        self.sign = sign

    def __reduce__(self):
        return Path.touch, (self.sign,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_pickled_weights_are_refused_unread(save_model, tmp_path, name):
    folder = save_model()
    (folder / "model.safetensors").unlink()
    with (folder / name).open("wb") as handle:
        pickle.dump({"w": Bomb(tmp_path / "ran")}, handle)
    with pytest.raises(DataError, match=f"only pickled weights .{name}.*save_pretrained"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_that_is_called_safetensors_is_refused_unread(save_model, tmp_path):
    folder = save_model()
    with (folder / "model.safetensors").open("wb") as handle:
        pickle.dump({"w": Bomb(tmp_path / "ran")}, handle)
    with pytest.raises(DataError, match="damaged or missing weights"):
        load_model(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("auto", ["AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"])
def test_code_that_comes_with_a_model_is_not_run(save_model, tmp_path, auto):
    folder = save_model()
    (folder / "foreign.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class Thing(LlamaConfig):\n    model_type = 'foreign'\n"
    )
    name = "tokenizer_config.json" if auto == "AutoTokenizer" else "config.json"
    config = json.loads((folder / name).read_text())
    value = ["foreign.Thing", None] if auto == "AutoTokenizer" else "foreign.Thing"
    config["auto_map"] = {auto: value}
    if auto == "AutoConfig":
        config["model_type"] = "foreign"
    (folder / name).write_text(json.dumps(config))
    try:
        load_model(folder)  # transformers' own class, or a refusal
    except DataError as error:
        assert "\n" not in str(error)
    assert not (tmp_path / "ran").exists()


def test_no_source_trusts_remote_code_or_unpickles_or_runs_a_shell():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, where
            if isinstance(node, ast.keyword) and node.arg == "shell":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, where
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                tops = {name.partition(".")[0] for name in names}
                assert not tops & {"pickle", "shelve", "marshal", "dill", "joblib"}, where
                assert not tops & {"socket", "socketserver", "http", "xmlrpc"}, where
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "os.system", "os.popen", "torch.load"), where


HOSTILE = [
    "../up",
    "/etc/x",
    "a/b",
    "..",
    "",
    " ",
    "a b",
    "a\n",
    "$(touch x)",
    "a;b",
    "A",
    "-x",
    "a\x00",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["run.name", "models", "tasks", "methods", "masks"])
def test_no_id_leaves_the_results_folder(place, name):
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    if place == "run.name":
        config["run"]["name"] = name
    else:
        catalogue = config[place]
        catalogue[name] = catalogue[next(iter(catalogue))]
    with pytest.raises(
        DataError, match=f"^config {place}: found .*(expected text matching|control char)"
    ):
        check(config)


@pytest.mark.parametrize("form", [f"https://{TOKEN}@huggingface.co/a/b", f"x{TOKEN}_", "my-secret"])
@pytest.mark.parametrize("place", ["value", "key"])
def test_a_token_in_the_configuration_is_refused_and_not_repeated(place, form, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "my-secret")
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    name, value = ("mine", form) if place == "value" else (form, "a/b")
    config["models"][name] = {"family": "llama", "repo": value}
    with pytest.raises(DataError, match=r"^config models\S*: holds .* access token") as error:
        check(config)
    assert form not in str(error.value) and TOKEN not in str(error.value)


def test_a_configuration_that_is_a_program_is_not_run(tmp_path, monkeypatch):
    """Snakemake runs the one that its command line names; ours does not."""
    sign = tmp_path / "ran"
    program = f"__use_yte__: true\n__definitions__:\n  - open({str(sign)!r}, 'w')\n"
    for text in (program, program.replace("__use_yte__", '"\\x5f_use_yte_\\u005f"')):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        assert yaml.safe_load(text)["__use_yte__"]
        for function in (read_files, refuse_programs):
            with pytest.raises(DataError, match="Snakemake runs Python code that stands in it"):
                function([path])
        (tmp_path / "Snakefile").touch()
        monkeypatch.chdir(tmp_path)
        for words in (["plan", str(path)], ["verify", "--configfile", str(path)],
                      ["run", "-n", "--configfile", str(path)],
                      ["run", f"--configfile={path}"]):  # fmt: skip
            assert main(words) == 2
    assert not sign.exists()


def test_tokens_reach_neither_log_nor_terminal(tmp_path):
    """Errors of other libraries may hold addresses and headers."""
    code = (
        "import logging, sys, warnings; from types import SimpleNamespace; from caploc import cli\n"
        "def run(job):\n"
        "    h = logging.StreamHandler(); h.emit(logging.makeLogRecord({'msg': job.spec['t']}))\n"
        "    warnings.warn(job.spec['t'] + 'my-secret'); print(job.spec['t'], file=sys.stdout)\n"
        "    raise RuntimeError('GET x: Bearer ' + job.spec['t'] + ' and my-secret')\n"
        "cli.import_module = lambda name: SimpleNamespace(run=run)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", code, "build_mask", "--log", log, "--spec", f'{{"t": "{TOKEN}"}}'],
        env=os.environ | {"HF_TOKEN": "my-secret"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("(token)") == 5 and done.stdout == "(token)\n"
    for text in (done.stderr, log.read_text()):
        assert "Bearer (token) and (token)" in text
        assert TOKEN not in text and "my-secret" not in text


def listening():
    """Local addresses of the ports that this process listens on."""
    folder = Path("/proc/self/fd")
    mine = set()
    for entry in folder.iterdir():
        with suppress(OSError):
            mine.add(str(entry.readlink()))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine]


@pytest.mark.skipif(not Path("/proc/self/net/tcp6").exists(), reason="Linux only")
def test_a_job_listens_on_no_port(tmp_path, make_job, monkeypatch):
    before = listening()
    spec = {
        "model": "toy", "seed": 0,
        "architecture": {
            "layers": 1, "hidden": 16, "ffn": 16, "heads": 2, "kv_heads": 2, "context": 64,
        },
        "train": {"steps": 2, "batch": 2, "learning_rate": 1e-3, "warmup": 0,
                  "mixture": {"emotions": 1}},
    }  # fmt: skip
    rate, found = _optimisation.learning_rate, []
    monkeypatch.setattr(
        _optimisation, "learning_rate", lambda *a: (found.append(listening()), rate(*a))[1]
    )
    outputs = {
        "manifest": tmp_path / "m/manifest.json", "loss": tmp_path / "m/loss.parquet",
        "prompts": tmp_path / "m/prompts.parquet",
    }  # fmt: skip
    train_model.run(make_job("train_model", spec, {}, outputs, 2))
    assert [*found, listening()] == [before] * 3
    with socket.create_server(("127.0.0.1", 0)):
        assert len(listening()) == len(before) + 1  # the check does see an open port
