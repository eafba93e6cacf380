"""The run's settings: checked before any job starts, and cut into one spec for each stage.

`check` ends in one line that names the key, the value found and what is allowed;
`caploc.jobs.run.Run` answers the rules' questions. Only the standard library and jsonschema are
imported: the Snakefile runs this on every call.
"""

import copy
import json
from functools import cache
from typing import Any

from caploc import plugins
from caploc.catalogues.whole import Catalogues
from caploc.configfiles import check_plain, shown
from caploc.records import DataError
from caploc.settings import schema_of

__all__ = ["check", "schema", "schema_text"]

Config = dict[str, Any]
_MOST_SHARDS = 10_000


@cache
def schema() -> dict[str, Any]:
    """JSON Schema of a whole configuration, the sections of all experiments included.

    ``workflow/schemas/config.schema.yaml`` is the same for readers: ``make schema`` writes it.
    """
    found = schema_of(Catalogues)
    named = {"enum": list(plugins.declared("TABLES"))}
    found["properties"]["run"]["properties"]["experiments"]["items"] = named
    sections = plugins.declared("SECTIONS")
    found["properties"]["experiments"] = {
        "description": "settings of what `run.experiments` names",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            name: schema_of(section) | {"default": {}} for name, section in sections.items()
        },
    }
    return found


def schema_text() -> str:
    """The schema as YAML, as it stands in ``workflow/schemas/config.schema.yaml``."""
    import yaml

    head = "# Every key of a configuration. Made from the settings classes by `make schema`.\n"
    apart = json.loads(json.dumps(schema()))  # YAML would name what stands in several places
    return head + yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=100)


def check(config: Config) -> Config:
    """Check a configuration and fill in the defaults of the schema.

    Args:
        config: merged YAML.

    Returns:
        A new dict with every optional key that has a default.

    Raises:
        DataError: an unknown key, wrong type or value, or an id that no catalogue holds.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    check_plain(config)
    # JSON Schema takes 5.0 for a whole number, and Python does not.
    whole = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    validator = extend(Draft202012Validator, type_checker=whole)
    error = best_match(validator(schema()).iter_errors(config))
    if error is not None:
        raise DataError(_schema_message(error))
    filled = _with_defaults(copy.deepcopy(config), schema())
    _check_references(filled)
    return filled


def _schema_message(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    found = shown(error.instance)
    rule, wanted = error.validator, error.validator_value
    if rule == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in allowed]
        return f"config {where}: unknown key {unknown[0][:80]!r}; allowed: {', '.join(allowed)}"
    if rule == "required":
        missing = [key for key in wanted if key not in error.instance]
        return f"config {where}: key {missing[0]!r} is missing"
    if rule == "enum":
        return f"config {where}: found {found}; allowed: {', '.join(map(str, wanted))}"
    if rule == "type":
        names = wanted if isinstance(wanted, list) else [wanted]
        return f"config {where}: found {found}, expected {' or '.join(names)}{_trap(error)}"
    if rule == "pattern":
        return f"config {where}: found {found}, expected text matching {wanted}"
    if rule in ("not", "const"):
        return f"config {where}: {found} is a reserved name; choose another id"
    return f"config {where}: found {found}; {_told(error)}"


def _told(error: Any) -> str:
    text: str = error.message
    return text if len(text) <= 200 else f"breaks {error.validator}: {shown(error.validator_value)}"


def _trap(error: Any) -> str:
    value = error.instance
    if isinstance(value, bool):
        return "; YAML reads no/yes/on/off as true or false: put text in quotes"
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return "; YAML reads 1e-4 and quoted numbers as text: write 1.0e-4, without quotes"
    return ""


def _with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for key, inner in properties.items():
            if key not in value and "default" in inner:
                value[key] = copy.deepcopy(inner["default"])
        extra = schema.get("additionalProperties")
        for key in value:
            inner = properties.get(key, extra if isinstance(extra, dict) else {})
            value[key] = _with_defaults(value[key], inner)
        for choice in schema.get("allOf", []):
            ((name, wanted),) = choice["if"]["properties"].items()
            if value.get(name) == wanted["const"]:
                value = _with_defaults(value, choice["then"])
    elif isinstance(value, list):
        value = [_with_defaults(item, schema.get("items", {})) for item in value]
    return value


def _check_references(config: Config) -> None:
    run = config["run"]
    for kind in ("models", "tasks", "methods", "masks"):
        for name in run[kind]:
            _known(f"run.{kind}", name, config[kind])
    _known("run.headline_mask", run["headline_mask"], run["masks"])
    if run["neutral"] is not None:
        _known("run.neutral", run["neutral"], config["tasks"])
    for index, pair in enumerate(run["pairs"]):
        for side in ("a", "b"):
            _known(f"run.pairs.{index}.{side}", pair[side], run["tasks"])
    for name, model in config["models"].items():
        _known(f"models.{name}.family", model["family"], plugins.names("families"))
        _check_source(name, model)
        if ("train" in model) != ("architecture" in model):
            raise DataError(f"config models.{name}: `train` and `architecture` go together")
        if "train" in model and "shape" in model:
            raise DataError(
                f"config models.{name}: `shape` is of models that are fetched; `architecture` "
                "says what is trained, take `shape` out"
            )
        for plugin in model.get("train", {}).get("mixture", {}):
            _known(f"models.{name}.train.mixture", plugin, plugins.names("tasks"))
    for name, task in config["tasks"].items():
        _known(f"tasks.{name}.plugin", task["plugin"], plugins.names("tasks"))
        if "system" in task and not task["chat"]:
            raise DataError(f"config tasks.{name}.system: has a meaning beside `chat: true` alone")
    for name, entry in config["facts"].items():
        _known(f"facts.{name}.plugin", entry["plugin"], plugins.names("facts"))
    for experiment in ("fidelity", "reliability"):
        if experiment in run["experiments"]:
            for name in config["experiments"][experiment]["facts"]:
                _known(f"experiments.{experiment}.facts", name, config["facts"])
    _check_shards(config)
    _check_enhancement(config)
    _check_known_answer(config)
    for name in config["experiments"]["decoupling"]["families"]:
        _known("experiments.decoupling.families", name, plugins.names("tasks"))


def _check_source(name: str, model: Config) -> None:
    kinds = [key for key in ("train", "repo", "path", "gguf", "package") if key in model]
    if kinds not in (
        ["train"],
        ["repo"],
        ["path"],
        ["gguf"],
        ["repo", "gguf"],
        ["gguf", "package"],
    ):
        raise DataError(
            f"config models.{name}: found {' and '.join(kinds) or 'none of the keys'}; "
            "exactly one of train, repo, path, gguf says where the model comes from; a GGUF file "
            "may lie in a `repo` or in a `package`"
        )


def _check_shards(config: Config) -> None:
    """Files of shards are numbered with four digits, and each is a job."""
    run, experiments = config["run"], config["experiments"]
    facts, pairs = experiments["fidelity"]["shard_size"], experiments["decoupling"]
    sizes = [
        (f"tasks.{t}.samples.locate", config["tasks"][t]["samples"]["locate"], run["shard_size"])
        for t in run["tasks"]
    ]
    sizes += [(f"facts.{name}.n", entry["n"], facts) for name, entry in config["facts"].items()]
    sizes += [("experiments.decoupling.pairs", pairs["pairs"], pairs["shard_size"])]
    for where, n, size in sizes:
        if n > _MOST_SHARDS * size:
            raise DataError(
                f"config {where}: found {n}, which makes more than {_MOST_SHARDS} jobs of {size} "
                "(`shard_size`); take fewer, or more in each job"
            )


def _check_enhancement(config: Config) -> None:
    enhancement = config["experiments"]["enhancement"]
    for kind in ("tasks", "masks"):
        for name in enhancement[kind]:
            _known(f"experiments.enhancement.{kind}", name, config[kind])
    if enhancement["epochs"] != sorted(enhancement["epochs"]):
        raise DataError(
            f"config experiments.enhancement.epochs: found {shown(enhancement['epochs'])}, "
            "expected ascending numbers"
        )


def _check_known_answer(config: Config) -> None:
    """Only where something is planted: the settings of another run need not fit."""
    settings, where = config["experiments"]["known_answer"], "experiments.known_answer"
    for extent in ("quick", "full", "tried"):
        for name in settings[extent]["plants"]:
            _known(f"{where}.{extent}.plants", name, settings["plants"])
    if not settings["plants"]:
        return
    _known(f"{where}.model", settings["model"], config["models"])
    model = config["models"][settings["model"]]
    if "train" not in model:
        raise DataError(
            f"config {where}.model: {settings['model']!r} is not trained here; expected a model "
            "with `train` and `architecture`"
        )
    for name in settings["tasks"]:
        _known(f"{where}.tasks", name, config["tasks"])
        plugin = config["tasks"][name]["plugin"]
        _known(f"{where}.tasks: plug-in of {name}", plugin, model["train"]["mixture"])
    for plant, entry in settings["plants"].items():
        for key in ("capabilities", "twice"):
            for name in entry[key]:
                _known(f"{where}.plants.{plant}.{key}", name, settings["tasks"])
    for name in settings["variants"]:
        _known(f"{where}.variants", name, settings["locators"])


def _known(where: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        choices = ", ".join(sorted(allowed)) or "(none)"
        raise DataError(f"config {where}: found {shown(value)}; allowed: {choices}")
