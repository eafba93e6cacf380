"""The page: one HTML file that needs nothing else, the same bytes for the same inputs."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from caploc.report import formatting
from caploc.report.formatting import Number
from caploc.report.inputs import Inputs
from caploc.report.palette import DARK
from caploc.report.registry import parts
from caploc.report.settings import used_settings
from caploc.report.svg import Drawing
from caploc.report.views import View, views

__all__ = ["first_screen", "render"]

_PACKAGES = ("caploc", "torch", "transformers", "numpy", "pyarrow", "altair", "vl-convert-python")


def render(inputs: Inputs, drawn: list[Drawing] | None = None) -> str:
    """The whole page as HTML text.

    Args:
        inputs: the run.
        drawn: takes the drawings of the page in their order, if given.
    """
    shown = {part: part.module.section(inputs) for part in parts()}
    template = _environment([] if drawn is None else drawn).get_template("page.html.jinja")
    return template.render(
        inputs=inputs,
        spec=inputs.spec,
        style=Markup(files("caploc.report").joinpath("page.css").read_text(encoding="utf-8")),
        dark=DARK,
        parts=[(part.template, section) for part, section in shown.items() if section is not None],
        contents=[
            entry
            for part, section in shown.items()
            for entry in part.module.CONTENTS
            if section is not None and section.get(entry[0], True) is not None
        ],
        views=[first_screen(view) for view in views(inputs)],
        used=used_settings(inputs.spec["config"]),
        versions=_versions(),
    )


def _environment(drawn: list[Drawing]) -> jinja2.Environment:
    def finalize(value: Any) -> Any:
        if isinstance(value, Drawing):
            drawn.append(value)
        return value

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("caploc", folder) for folder in ("report", "experiments")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
    )
    environment.filters |= {
        "percent": _percent,
        "nat": formatting.nat,
        "points": formatting.points,
        "share": _share,
        "span": _span,
        "probability": formatting.probability,
        "count": formatting.count,
        "joined": formatting.joined,
        "unbroken": formatting.unbroken,
    }
    return environment


def first_screen(view: View) -> Mapping[str, Any]:
    """What the parts of the page say of one model and method, before their sections."""

    def asked(name: str) -> list[tuple[str, Any]]:
        # What the experiments found comes first, cautions of the frame last.
        ordered = sorted(parts(), key=lambda part: part.of_frame)
        found = [(p.name, getattr(p.module, name)) for p in ordered if hasattr(p.module, name)]
        return [(part, function(view)) for part, function in found]

    verdicts = [text for _, text in asked("verdict") if text is not None]
    return {
        "view": view,
        "verdict": " ".join(verdicts),
        "tiles": [tile for _, tiles in asked("tiles") for tile in tiles],
        "findings": [finding for _, found in asked("findings") for finding in found],
        "leads": [(f"{part}/lead.html.jinja", lead) for part, lead in asked("lead") if lead],
    }


def _versions() -> list[tuple[str, str]]:
    """Programs that are installed where the page is written."""
    found = [("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("platform", f"{platform.system()} {platform.machine()}")]


def _percent(number: Number | float | None, digits: int = 1) -> str:
    value = number.value if isinstance(number, Number) else number
    return "–" if value is None else formatting.percent(value, digits)


def _share(number: Number) -> str:
    return "–" if number.value is None else formatting.share(number.value)


def _span(number: Number) -> str:
    """The range of a number, empty where it has none."""
    if number.low is None or number.high is None:
        return ""
    return formatting.percent_span(number.low, number.high)
