"""Settings are checked, filled in, and refused with one telling line."""

import functools
import re
from pathlib import Path

import pytest
import yaml
from configs import embedded, read_config

from caploc.config import check, schema, schema_text
from caploc.config_table import table_text
from caploc.configfiles import read_files
from caploc.records import DataError

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def config():
    return embedded()


@pytest.mark.parametrize("rule", ["adaptive", "inclusive"])
def test_the_shipped_config_is_valid_and_complete(rule):
    config = read_config("config.yaml") if rule == "adaptive" else embedded()
    filled = check(config)
    assert filled["tasks"]["gsm8k"]["samples"] == {
        "locate": 1000, "train": 1000, "validation": 200, "test": 500,
    }  # fmt: skip
    assert filled["methods"]["cnl"]["rule"] == rule
    # every run-level key is written out, so that a reader sees it
    assert set(config["run"]) == set(schema()["properties"]["run"]["properties"])


def test_checking_twice_changes_nothing(config):
    filled = check(config)
    assert check(filled) == filled


def test_the_given_config_is_left_alone(config):
    before = yaml.safe_dump(config)
    check(config)
    assert yaml.safe_dump(config) == before


def _set(config, path, value):
    *parents, last = path.split(".")
    for key in parents:
        config = config[key]
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("run.sead", 1, r"config run: unknown key 'sead'; allowed: converged_samples, "),
        ("run.splits", 1, r"config run\.splits: found 1; 1 is less than the minimum of 2"),
        ("run.seed", True, r"config run\.seed: found true, expected integer; YAML reads no/yes"),
        ("run.tasks", ["gsm8"], r'config run\.tasks: found "gsm8"; allowed: .*gsm8k'),
        ("run.headline_mask", "s4", r'config run\.headline_mask: found "s4"; allowed: s12, s3, s6'),
        ("run.neutral", "nothing", r'config run\.neutral: found "nothing"; allowed: '),
        ("run.tasks", [], r"config run\.tasks: found \[\]"),
        ("masks.s6.sigma", "6e0", r"config masks\.s6\.sigma: found \"6e0\", expected number; YAML"),
        ("masks.s6.sigma", "six", r"config masks\.s6\.sigma: found \"six\", expected number$"),
        ("masks.s6", None, r"config masks\.s6: found null, expected object"),
        ("masks", {False: {"sigma": 1.0}}, r"config masks: key false is not text"),
        ("methods.cnl.locator", "ccnl", r'config methods\.cnl\.locator: found "ccnl"; allowed: '),
        ("models.embedded.repo", "a/b", r"config models\.embedded: found train and repo; exactly"),
        ("models.embedded.family", "lama", r"config models\.embedded\.family: found \"lama\""),
        ("models.embedded.train.mixture.nothing", 1, r"config models\.embedded\.train\.mixture: "),
        ("models.embedded.device", "gpu", r"config models\.embedded\.device: found \"gpu\", exp"),
        ("tasks.gsm8k.plugin", "gsm", r'config tasks\.gsm8k\.plugin: found "gsm"; allowed: '),
        ("tasks.reviews.samples.locate", 0, r"config tasks\.reviews\.samples\.locate: found 0"),
        ("tasks.gsm8k.system", "b", r"config tasks\.gsm8k\.system: has a meaning beside"),
        ("tasks.gsm8k.files", 3, r"config tasks\.gsm8k\.files: found 3"),
        ("methods.cnl.rule", "simpson", r'config methods\.cnl\.rule: found "simpson"; allowed: '),
        ("run.shard_size", 5.0, r"config run\.shard_size: found 5\.0, expected integer"),
        ("run.seed", 2**64, r"config run\.seed: found 18446744073709551616; expected a number of"),
        ("masks.s6.sigma", float("nan"), r"config masks\.s6\.sigma: found NaN; expected a number"),
        ("masks.s6.sigma", float("inf"), r"config masks\.s6\.sigma: found Infinity; expected"),
        ("run.name", "a" * 245, r"config run\.name: found \"aaa.*, expected text matching"),
        ("run.title", "a\u0007", r"config run\.title: found .* with the control character U\+0007"),
        ("run.title", "\ud800", r"config run\.title: found .* with the control character U\+D800"),
        ("tasks.reviews.samples.locate", 2**31 - 1, r"samples\.locate: .* more than 10000 jobs of"),
        ("experiments.decoupling.pairs", 2**31 - 1, r"decoupling\.pairs: .* more than 10000 jobs"),
        ("run.pairs", [{"name": "n", "a": "gsm8k", "b": "reviews", "shares": "words"}],
         r'config run\.pairs\.0\.a: found "gsm8k"; allowed: '),
    ],
)  # fmt: skip
def test_wrong_settings_name_the_key_the_value_and_what_is_allowed(config, path, value, message):
    _set(config, path, value)
    with pytest.raises(DataError, match=message) as caught:
        check(config)
    assert "\n" not in str(caught.value)


def _held_by_itself():
    value = {}
    value["x"] = value
    return value


ENDLESS = {
    "anchors that repeat": lambda: [functools.reduce(lambda x, _: [x] * 9, range(9), "x")],
    "an anchor that holds itself": _held_by_itself,
    "brackets": lambda: functools.reduce(lambda x, _: [x], range(3_000), "x"),
}


@pytest.mark.parametrize("how", ENDLESS)
def test_what_has_no_end_is_refused_at_once(config, how):
    config["run"]["bomb"] = ENDLESS[how]()
    with pytest.raises(DataError, match=r"more than (100000 values|20 levels); do"):
        check(config)


@pytest.mark.parametrize(
    "content",
    [b"run: {title: \xe9}", b"run: " + b"[" * 3_000, b"run: {seed: " + b"9" * 5_000 + b"}",
     b"run: &r\n  self: *r", b"- 1", b"", b"run: {x: \x00}", b"x: !!python/name:os.system ''"],
)  # fmt: skip
def test_files_that_are_no_configuration_are_one_line(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(DataError) as told:
        read_files([path])
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


def test_a_number_too_long_to_be_printed_is_refused(config):
    config["run"]["seed"] = 10**5000
    with pytest.raises(DataError, match=r"config run\.seed: found a int; expected a number of at"):
        check(config)


def test_a_device_is_no_configuration():
    with pytest.raises(DataError, match="expected a file of at most 4 MiB"):
        read_files([Path("/dev/zero")])


def test_a_missing_key_is_named(config):
    del config["run"]["masks"]
    with pytest.raises(DataError, match="config run: key 'masks' is missing"):
        check(config)


def test_every_key_of_the_schema_is_described():
    undescribed = []

    def walk(schema, where):
        for key, inner in schema.get("properties", {}).items():
            # {} in a branch: described where the branches begin.
            if inner and "description" not in inner:
                undescribed.append(f"{where}.{key}")
            walk(inner, f"{where}.{key}")
        for name in ("additionalProperties", "items"):
            if isinstance(schema.get(name), dict):
                walk(schema[name], where)
        # A locator's settings are closed by the choice that fits its name.
        parts = [choice["then"] for choice in schema.get("allOf", ())] or [schema]
        open_ = any(part.get("additionalProperties") is not False for part in parts)
        if "properties" in schema and open_:
            undescribed.append(f"{where}: takes unknown keys")

    walk(schema(), "config")
    assert not undescribed


@pytest.mark.parametrize(
    ("path", "text"),
    [("workflow/schemas/config.schema.yaml", schema_text), ("config/README.md", table_text)],
)
def test_pages_about_settings_are_those_of_today(path, text):
    """`make schema` writes them."""
    assert (REPOSITORY / path).read_text() == text()


def test_the_table_has_a_row_for_every_key():
    """Counted in the schema, whatever the table makes of it."""

    def leaves(found):
        inside = [*found.get("properties", {}).values(), found.get("items", {})]
        inside += [k for c in found.get("allOf", []) for k in c["then"]["properties"].values()]
        inside.append(found.get("additionalProperties"))
        below = [leaves(one) for one in inside if isinstance(one, dict) and one]
        own = "description" in found and not any(below)
        return sum(below) + own

    rows = re.findall(r"^\| `[\w.<>\[\]]+[^`]*` \|", table_text(), flags=re.M)
    assert len(rows) == len(set(rows)) == leaves(schema())
