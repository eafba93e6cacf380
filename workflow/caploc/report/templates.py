"""Words of the page are in templates: how these are loaded, and what they can ask for."""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from caploc.report import formatting
from caploc.report.findings import Finding, Tone, span_of, stands
from caploc.report.numbers import matching, number, row

__all__ = ["environment", "finding", "page", "said"]

_FOLDERS = ("report", "experiments", "commands")


def environment(
    finalize: Callable[[Any], Any] | None = None, autoescape: bool = True
) -> jinja2.Environment:
    """Templates of pages, by their path below `report`, `experiments` or `commands`.

    They look the numbers of a table up themselves, with `matching` (there called ``rows``),
    `number` and `row`.

    Args:
        finalize: is asked about every value that a template puts out.
        autoescape: the templates are HTML.
    """
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("caploc", folder) for folder in _FOLDERS]),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize or (lambda value: value),
    )
    found.globals |= {
        "rows": matching, "number": number, "row": row, "stands": stands, "printed": _printed,
    }  # fmt: skip
    found.filters |= {name: getattr(formatting, name) for name in (
        "nat", "points", "point_span", "in_points", "percent_span", "share", "probability", "count",
        "joined", "unbroken", "texts",
    )}  # fmt: skip
    found.filters |= {"percent": _percent, "span_of": span_of}
    return found


def page(template: str, finalize: Callable[[Any], Any] | None = None, **variables: Any) -> str:
    """A whole page as HTML text; needs nothing else. `finalize` as in `environment`."""
    style = files("caploc.report").joinpath("page.css").read_text(encoding="utf-8")
    found = environment(finalize).get_template(template)
    return found.render(style=Markup(style), **variables)


def said(part: str, name: str, **values: Any) -> str:
    """A sentence of ``words.jinja``, without line breaks.

    Args:
        part: folder of the experiment; empty for the frame.
        name: macro.
        values: its arguments.
    """
    words = _plain().get_template(f"{part}/words.jinja".removeprefix("/"))
    return re.sub(r"[ \n]+", " ", str(getattr(words.module, name)(**values))).strip()


def finding(tone: Tone, about: str, part: str, name: str, **values: Any) -> Finding:
    """A finding whose text is such a sentence."""
    return Finding(tone, about, said(part, name, **values))


@cache
def _plain() -> jinja2.Environment:
    return environment(autoescape=False)


def _printed(experiment: str) -> Any:
    """What the paper prints on an experiment: its ``paper.json``."""
    path = files(f"caploc.experiments.{experiment}").joinpath("paper.json")
    return json.loads(path.read_text(encoding="utf-8"))


def _percent(found: formatting.Number | float | None, digits: int = 1) -> str:
    value = found.value if isinstance(found, formatting.Number) else found
    return "–" if value is None else formatting.percent(value, digits)
