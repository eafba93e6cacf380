"""Label numbers to words."""

from collections.abc import Sequence

from caploc.records import DataError, Dropped

__all__ = ["label_word"]


def label_word(value: str, labels: Sequence[str]) -> str:
    """The word of a label that is given as a number or as the word itself.

    Args:
        value: content of the label column.
        labels: words for 0, 1, 2, ...

    Raises:
        Dropped: no label, or the number -1, which data sets use for unlabelled rows.
        DataError: anything else that is not among the labels.
    """
    text = value.strip()
    if text in ("", "-1"):
        raise Dropped("no label")
    if text.isdecimal() and len(text) < 10 and int(text) < len(labels):
        return labels[int(text)]
    if text.casefold() in (label.casefold() for label in labels):
        return text.casefold()
    raise DataError(
        f"unknown label {value[:80]!r}; expected 0 to {len(labels) - 1} or one of "
        f"{', '.join(labels)}; set `labels` to the words for 0, 1, 2, ..."
    )
