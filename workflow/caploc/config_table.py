"""The table of all keys of a configuration, as ``config/README.md`` shows it."""

import json
from collections.abc import Iterator
from typing import Any

from caploc.config import schema

__all__ = ["table_text"]

_HEAD = """# Settings

`config.yaml` in the top folder is the default run. The files here are laid over it, as yours are:
`snakemake --configfile mine.yaml`. Dictionaries are merged, lists replace lists. `<id>` stands for
a name that you give; keys without a default are needed where their group is used.

<!-- Made from the settings classes by `make schema`. -->

"""


def table_text() -> str:
    """Markdown: a table of keys for each group."""
    lines = [_HEAD.rstrip("\n")]
    for name, group in schema()["properties"].items():
        lines += ["", f"## {name}", "", group["description"].strip(), ""]
        lines += ["| key | values | default | meaning |", "|---|---|---|---|"]
        lines += [_row(*found) for found in _keys(group, name)]
    return "\n".join(lines) + "\n"


def _row(key: str, found: dict[str, Any]) -> str:
    default = f"`{json.dumps(found['default'])}`" if "default" in found else ""
    cells = (f"`{key}`", _values(found), default, found.get("description", "").strip())
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _keys(group: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below one, groups replaced by what is in them."""
    for choice in group.get("allOf", []):
        ((name, wanted),) = choice["if"]["properties"].items()
        inner = {k: v for k, v in choice["then"]["properties"].items() if v and k != name}
        yield from _keys({"properties": inner}, f"{where} ({name}: {wanted['const']})")
    for name, found in group.get("properties", {}).items():
        below = list(_keys(found, f"{where}.{name}"))
        yield from below or [(f"{where}.{name}", found)]
    for word, sign in (("items", "[]"), ("additionalProperties", ".<id>")):
        if isinstance(group.get(word), dict):
            yield from _keys(group[word], where + sign)


def _values(found: dict[str, Any]) -> str:
    if "enum" in found:
        return ", ".join(f"`{value}`" for value in found["enum"])
    if "anyOf" in found:
        return " or ".join(map(_values, found["anyOf"]))
    kinds = found.get("type", "")
    text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if "items" in found:
        inner = _values(found["items"])
        text = f"list of {inner}" if inner else text
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {found[word]}" for word, sign in signs.items() if word in found]
    return ", ".join([text, *bounds])
