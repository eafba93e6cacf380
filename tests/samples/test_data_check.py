"""What a person gets wrong is told in one line while the configuration is read, before any job."""

import copy
import json

import pytest
import yaml

from caploc.records import DataError
from caploc.samples.data_check import checked_run

ROWS = [{"q": f"word{i} is", "a": f"w{i}"} for i in range(120)]
MINE = """
run: {name: mine, models: [smollm2], tasks: [mine], neutral: null, mixture: false, pairs: [],
      experiments: []}
tasks:
  mine: {plugin: generic, files: ok.jsonl, prompt: "{q}", answer: " {a}",
         samples: {locate: 30, train: 20, validation: 20, test: 30}}
"""


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(rows):
    return "q,a\n" + "".join(f"{row['q']},{row['a']}\n" for row in rows)


@pytest.fixture
def checked(tmp_path, monkeypatch, request):
    """Checks config.yaml with the settings above and some changes, beside good and bad files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.jsonl").write_text(lines(ROWS))
    (tmp_path / "shifted.csv").write_text(table(ROWS) + "x,y,z\n")
    (tmp_path / "broken.jsonl").write_text(lines(ROWS) + '{"q": "a",\n')
    (tmp_path / "latin.csv").write_bytes("q,a\ncafé,b\n".encode("latin-1"))
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "facts.json").write_text('[{"case_id": 1, "prompt": "A", "subject": "B", '
                                         '"ground_truth": "c"}]')  # fmt: skip
    (tmp_path / "folder").mkdir()
    base = yaml.safe_load((request.config.rootpath / "config.yaml").read_text())

    def check(**changes):
        config = merged(copy.deepcopy(base), yaml.safe_load(MINE))
        for path, value in changes.items():
            *parts, last = path.split("__")
            inner = config
            for part in parts:
                inner = inner.setdefault(part.replace("_", "-"), {})
            inner[last] = value
        return checked_run(config)[1]

    return check


def merged(base, over):
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


MISTAKES = [
    ({"tasks__mine__files": "nix.jsonl"}, r"tasks\.mine\.files: nix\.jsonl: no such file"),
    ({"tasks__mine__files": "shifted.csv"}, r"tasks\.mine: shifted\.csv: .*line 122: 3 fields"),
    ({"tasks__mine__files": "broken.jsonl"}, r"broken\.jsonl: cannot be read as jsonl \(line 121"),
    ({"tasks__mine__files": "latin.csv"}, r"latin\.csv: not UTF-8 .*save it as UTF-8"),
    ({"tasks__mine__files": "empty.jsonl"}, r"empty\.jsonl: the file is empty"),
    ({"tasks__mine__files": "folder"}, r"folder: no such file; `files` takes"),
    ({"tasks__mine__prompt": "{question}"}, r"column 'question' is missing; found \['q', 'a'\]"),
    ({"tasks__mine__prompt": "{q"}, r"template '\{q': .*literal braces"),
    ({"tasks__mine__prompt": "hello"}, r"prompt 'hello' has no \{column\}"),
    ({"tasks__mine__answer": None}, r"tasks\.mine\.answer: found null, expected string"),
    ({"tasks__mine__sample": {}}, r"unknown key 'sample'; allowed: answer, "),
    ({"tasks__mine__samples": {"locate": 5.5}}, r"samples\.locate: found 5\.5, expected integer"),
    ({"tasks__mine__samples": {"locate": -5}}, r"samples\.locate: found -5"),
    ({"tasks__mine__columns": {"q": "quest"}}, r"column 'quest' is missing"),
    ({"tasks__mine__plugin": "generc"}, r"tasks\.mine\.plugin: found \"generc\"; allowed: "),
    ({"run__tasks": ["mine", "other"]}, r"run\.tasks: found \"other\"; allowed: "),
    ({"run__models": ["smolm2"]}, r"run\.models: found \"smolm2\"; allowed: "),
    ({"run__methods": ["nix"]}, r"run\.methods: found \"nix\"; allowed: cnl"),
    ({"run__masks": ["s3"]}, r"run\.headline_mask: found \"s6\"; allowed: s3"),
    ({"run__experiments": ["erasur"]}, r"found \"erasur\"; allowed: .*erasure"),
    ({"run__name": "../x"}, r"run\.name: found \"\.\./x\""),
    ({"run__pairs": [{"name": "x", "a": "mine", "b": "their", "shares": "words"}]},
     r"run\.pairs\.0\.b: found \"their\"; allowed: mine"),
    ({"masks__s6": {"sigma": False}}, r"masks\.s6\.sigma: found false, .*put text in quotes"),
    ({"methods__cnl__tolerance": "1e-2"}, r"tolerance: found \"1e-2\", .*write 1\.0e-4"),
    ({"methods__cnl__locator": "nix"}, r"methods\.cnl\.locator: found \"nix\"; allowed: "),
    ({"run__models": ["m"], "models__m": {"family": "lama", "path": "folder"}},
     r"models\.m\.family: found \"lama\"; allowed: "),
    ({"run__models": ["m"], "models__m": {"family": "llama", "path": "nix"}},
     r"models\.m\.path: nix: no such file or folder"),
    ({"run__models": ["m"], "models__m": {"family": "llama", "path": "folder"}},
     r"models\.m\.path: folder holds no config\.json; expected the folder of a transformers"),
    ({"run__experiments": ["fidelity"], "experiments__fidelity__facts": ["f"],
      "facts__f": {"plugin": "counterfact", "files": "facts.json"}},
     r"facts\.f: no usable fact among 1 records \(1 x subject not in the prompt\)"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), MISTAKES, ids=lambda x: str(x)[:40])
def test_a_mistake_is_one_line_before_any_job(checked, changes, told):
    with pytest.raises(DataError, match=told) as error:
        checked(**changes)
    assert "\n" not in str(error.value)
    assert checked() == []


def test_what_a_user_should_know_of_the_data(checked, tmp_path):
    twice = [*ROWS, ROWS[0], ROWS[1] | {"a": "other"}, {"q": "no answer", "a": ""}]
    (tmp_path / "some.jsonl").write_text(lines(twice[110:]))
    assert checked(tasks__mine__files="some.jsonl", tasks__mine__answer="{a}") == [
        "tasks.mine: 1 rows are left out (1 x empty answer)",
        "tasks.mine: too few rows for all that was asked (locate 12 of 30, train 0 of 20, "
        "validation 0 of 20, test 0 of 30; a comparison needs 20): it will say 'not computed'; add "
        "rows, or lower `samples` of the other splits",
        "tasks.mine: prompts end and answers begin without a space ('word0 is', 'w0'): both "
        "melt into one word; begin `answer` with a space",
    ]
    (tmp_path / "some.jsonl").write_text(lines(twice))
    (note,) = checked(tasks__mine__files="some.jsonl")
    assert note == (
        "tasks.mine: 3 rows are left out (1 x duplicate prompt, 1 x duplicate prompt with another "
        "answer, 1 x empty answer)"
    )


def test_large_files_are_left_to_the_jobs(checked, tmp_path, monkeypatch):
    monkeypatch.setattr("caploc.samples.data_check._MOST_BYTES", 100)
    assert checked(tasks__mine__files="broken.jsonl") == []
