"""What the stages of this experiment are told."""

from dataclasses import dataclass

from caploc.catalogues.masks import MaskEntry

__all__ = ["MeasureAgreement", "MeasureOverlap"]


@dataclass(frozen=True, slots=True)
class MeasureAgreement:
    """Agreement of the halves of one task.

    Attributes:
        model: id
        task: id, `mixture` for a mixture of all
        method: id
        mask: id
        arm: what the task is: located, mixture or neutral
        rule: of the mask
    """

    model: str
    task: str
    method: str
    mask: str
    arm: str
    rule: MaskEntry


@dataclass(frozen=True, slots=True)
class MeasureOverlap:
    """Overlap of the masks of different tasks.

    Attributes:
        model: id
        method: id
        mask: id
        tasks: ids, every pair of which is compared
        sigma: of the mask
    """

    model: str
    method: str
    mask: str
    tasks: tuple[str, ...]
    sigma: float
