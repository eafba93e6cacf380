"""All catalogues of a configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from caploc import locator_settings
from caploc.catalogues.data import FactsEntry, TaskEntry
from caploc.catalogues.masks import MaskEntry
from caploc.catalogues.models import ModelEntry
from caploc.catalogues.runs import RunSettings
from caploc.settings import ID, Rule

__all__ = ["Catalogues"]


_ById = Rule(propertyNames={"pattern": ID})
_Method = Annotated[
    Any,
    Rule(
        **locator_settings.fitting(
            locator_settings.of_tasks(),
            scores=False,
            text="a file in workflow/caploc/locators; its settings stand beside it",
        )
    ),
]


@dataclass(frozen=True, slots=True)
class Catalogues:
    """Catalogues say what exists; the lists under `run` say what is done.

    Unknown keys are refused everywhere. Times are never settings; sizes are counted in samples,
    tokens or neurons as each description says. Ids are lower-case letters, digits and hyphens; they
    become parts of file names.

    Attributes:
        run: what this run does; lists replace those of the file they are laid over
        models: models by id
        tasks: data sets by id
        methods: ways to score neurons, by id: a locator with its settings
        masks: rules that turn mean scores into a set of located neurons, by id
        facts: sets of single facts by id, for the experiment `fidelity`
    """

    run: RunSettings
    models: Annotated[dict[str, ModelEntry], _ById]
    tasks: Annotated[
        dict[str, TaskEntry], Rule(propertyNames={"pattern": ID, "not": {"const": "mixture"}})
    ]
    methods: Annotated[dict[str, _Method], _ById]
    masks: Annotated[dict[str, MaskEntry], _ById]
    facts: Annotated[dict[str, FactsEntry], _ById] = field(default_factory=dict)
