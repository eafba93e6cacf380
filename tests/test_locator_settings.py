"""What a configuration may say about locators follows from their files, read without importing."""

import copy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from configs import embedded

from caploc import locator_settings, plugins
from caploc.config import check
from caploc.records import DataError
from caploc.settings import plain, read, schema_of

CONFIG = embedded()
CNL = {"site": "post", "rule": "inclusive", "steps": 19, "tolerance": 0.001,
       "max_answer_tokens": 64, "batch_rows": 4096}  # fmt: skip
KN = CNL | {"rule": "linspace", "steps": 20, "ratio": 0.2, "share": 0.7}
del KN["tolerance"]


def changed(where, value):
    config = copy.deepcopy(CONFIG)
    inside = config
    *parents, last = where.split("/")
    for key in parents:
        inside = inside.setdefault(key, {})
    inside[last] = value
    return config


def test_defaults_are_those_of_the_functions():
    config = check(copy.deepcopy(CONFIG))
    assert config["methods"]["cnl"] == CNL | {"locator": "cnl"}
    fidelity = check(changed("experiments/fidelity", {}))["experiments"]["fidelity"]
    assert fidelity["kn"] == KN
    assert fidelity["kn_activation"] == {"ratio": 0.5}
    own = ("noise", "noise_samples", "window", "top")
    assert [fidelity["rome"][key] for key in own] == [3.0, 10, 10, 5]
    assert fidelity["circuit"]["shares"] == [0.026, 0.01, 0.05, 0.1]
    planted = config["experiments"]["known_answer"]["locators"]
    assert planted["cnl-pre"] == CNL | {"locator": "cnl", "site": "pre", "subtract": False}
    assert planted["kn-refined"] == {k: v for k, v in KN.items() if k != "share"} | {
        "locator": "kn"
    }
    assert planted["weight-activation"] == {"locator": "weight_activation", "general": 0.05}
    assert planted["random"] == {"locator": "random_order"}


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("methods/cnl", {"locator": "cnl", "stepz": 3},
         "methods.cnl: unknown key 'stepz'; allowed: batch_rows, locator, max_answer_tokens, rule, "
         "site, steps, tolerance"),
        ("methods/cnl", {"locator": "activation_size", "steps": 3},
         "methods.cnl: unknown key 'steps'; allowed: locator"),
        ("methods/cnl", {"steps": 3}, "methods.cnl: key 'locator' is missing"),
        ("methods/cnl", {"locator": "rome"}, 'methods.cnl.locator: found "rome"; allowed: '),
        ("methods/cnl", {"locator": "cnl", "steps": 0}, "methods.cnl.steps: found 0; 0 is less"),
        ("methods/cnl", {"locator": "kn", "rule": "adaptive"},
         'methods.cnl.rule: found "adaptive"; allowed: inclusive, linspace, left'),
        ("experiments/fidelity/kn", {"top": 3},
         "experiments.fidelity.kn: unknown key 'top'; allowed: batch_rows, max_answer_tokens, "
         "ratio, rule, share, site, steps"),
        ("experiments/fidelity/locators", ["cnl"],
         'experiments.fidelity.locators.0: found "cnl"; allowed: circuit, kn, kn_activation, rome'),
        ("experiments/known_answer/locators", {"x": {"locator": "cnl", "ratio": 0.3}},
         "experiments.known_answer.locators.x: unknown key 'ratio'; allowed: batch_rows, locator"),
        ("experiments/known_answer/locators", {"x": {"candidate": "cnl"}},
         "experiments.known_answer.locators.x: key 'locator' is missing"),
        ("experiments/reliability/shared", {"locators": ["cnl"]},
         'reliability.shared.locators.0: found "cnl"; allowed: circuit, kn, kn_activation, rome'),
        ("experiments/erasure", {"locators": ["rome"]},
         'experiments.erasure.locators.0: found "rome"; allowed: activation-entropy'),
    ],
)  # fmt: skip
def test_wrong_settings_end_in_one_line(where, value, message):
    with pytest.raises(DataError) as error:
        check(changed(where, value))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_what_each_locator_is_for():
    assert locator_settings.of_facts() == ["circuit", "kn", "kn_activation", "rome"]
    assert "random_order" not in locator_settings.of_tasks()
    assert {"cnl", "kn", "task_neurons"} <= set(locator_settings.of_tasks())
    assert {"random_order", "weight_activation"} <= set(locator_settings.of_plants())
    own = {"steps": 3, "ratio": 0.2, "share": 0.7}
    assert locator_settings.taken("kn", "locate", own | {"memory_mib": 9}) == {
        "steps": 3, "memory_mib": 9,
    }  # fmt: skip
    assert locator_settings.taken("kn", "located", own) == {"ratio": 0.2}
    assert locator_settings.taken("kn", "refined", own) == {"share": 0.7}


@pytest.mark.parametrize("name", plugins.names("locators"))
def test_the_text_says_what_the_module_is(name):
    module = plugins.load("locators", name)
    assert locator_settings.unit(name) == module.UNIT
    assert plugins.constants("locators", name)["TITLE"] == module.TITLE
    for function in ("locate", "score", "located", "rank", "token_map"):
        assert locator_settings.offers(name, function) == hasattr(module, function)


def test_nothing_is_imported():
    code = (
        "import sys, yaml; from caploc.config import check;"
        "check(yaml.safe_load(open('config.yaml'))); assert 'torch' not in sys.modules"
    )
    folder = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Text of a locator `new`."""
    known = (locator_settings._text, locator_settings.settings_class)

    def write(text):
        (tmp_path / "locators").mkdir()
        (tmp_path / "locators" / "new.py").write_text(text)
        monkeypatch.setattr(plugins, "module_name", lambda kind, name: f"caploc.{kind}.{name}")
        monkeypatch.setattr(locator_settings, "__file__", str(tmp_path / "locator_settings.py"))
        for function in known:
            function.cache_clear()

    yield write
    for function in known:
        function.cache_clear()


def test_a_settings_class_from_a_text(written):
    written('''"""New one."""
def locate(lm, samples, *, n: Count, share: Share = 0.25, seed: int = 0, plain=None):
    """Text.

    Args:
        lm: the model.
        n: how many
            there are
        share: of what
    """
def located(result, *, n: int = 3, names: tuple[str, ...] = ("a",)): ...
''')
    kind = locator_settings.settings_class("new", ("locate", "missing", "located"))
    schema = schema_of(kind)
    assert schema["description"] == "New one." and schema["required"] == ["n"]
    assert list(schema["properties"]) == ["n", "share", "plain", "names"]
    assert schema["properties"]["n"] == {
        "type": "integer", "minimum": 1, "description": "how many there are",
    }  # fmt: skip
    assert plain(read(kind, {"n": 2})) == {"n": 2, "share": 0.25, "plain": None, "names": ["a"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def locate(x, *, n: Tensor = 1): ...",
            "parameter 'n' of locate: Tensor is not understood",
        ),
        (
            "def locate(x, *, n=MOST): ...",
            "parameter 'n' of locate: MOST is not understood; expected",
        ),
        ("def locate(x", "new.py, line 1: '(' was never closed; correct the file"),
    ],
)
def test_a_text_that_cannot_be_understood(written, text, message):
    written(text)
    with pytest.raises(DataError) as error:
        locator_settings.settings_class("new", ("locate",))
    assert message in str(error.value)


def test_a_field_is_described_where_it_is_declared():
    @dataclass(frozen=True)
    class Place:
        """Where.

        Attributes:
            device: of the model.
        """

        device: str

    @dataclass(frozen=True)
    class Told(Place):
        """What.

        Attributes:
            n: how many.
        """

        n: int = 1

    assert schema_of(Told)["properties"]["device"]["description"] == "of the model."
    assert schema_of(Told)["description"] == "What."
