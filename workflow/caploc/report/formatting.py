"""Numbers as a reader sees them: tables hold fractions (0-1), the page shows percent (0-100)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "NOT_COMPUTED",
    "Number",
    "count",
    "in_points",
    "joined",
    "nat",
    "percent",
    "percent_span",
    "point_span",
    "points",
    "probability",
    "share",
    "share_span",
    "texts",
    "unbroken",
]

NOT_COMPUTED = "not computed"


@dataclass(frozen=True, slots=True)
class Number:
    """One value of a table, or the reason why there is none.

    Attributes:
        value: fraction (0-1), count or probability; None when there is no value.
        low: lower end of the interval or range, None if there is none.
        high: upper end.
        n: how many items (splits, samples) the value rests on.
        reason: why there is no value, e.g. ``empty mask`` or ``n = 3, needs 20``.
        interval: what low and high are, e.g. ``range over 5 splits``.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str = NOT_COMPUTED
    interval: str = ""

    @property
    def has_value(self) -> bool:
        """There is a value to show."""
        return self.value is not None

    @property
    def bottom(self) -> float:
        """Lower end of the range, or the value itself where no range is known."""
        assert self.value is not None
        return self.value if self.low is None else self.low

    @property
    def top(self) -> float:
        """Upper end of the range, or the value itself where no range is known."""
        assert self.value is not None
        return self.value if self.high is None else self.high

    @property
    def side(self) -> Literal["above", "within", "below"] | None:
        """Where the whole range lies of a difference: above 0, below it, or 0 is within it."""
        if self.value is None:
            return None
        return "above" if self.bottom > 0 else "below" if self.top < 0 else "within"

    @property
    def partial(self) -> str:
        """``3 of 5 splits`` where only some of the splits had a value, else empty."""
        splits = re.search(r"(\d+) splits", self.interval)
        if splits is None or self.n is None or self.n >= int(splits[1]):
            return ""
        return f"{self.n} of {splits[0]}"


def percent(value: float, digits: int = 1) -> str:
    """A fraction as percent without the sign: 0.9642 becomes ``96.4``."""
    return f"{100 * value:.{digits}f}"


def share(value: float) -> str:
    """A small fraction as percent: two decimals, or two leading digits below 0.1 %: ``0.034``."""
    if value == 0 or value >= 0.001:
        return f"{100 * value:.2f}"
    exponent = int(f"{100 * value:.1e}".split("e")[1])
    return f"{100 * value:.{1 - exponent}f}"


def percent_span(low: float, high: float, digits: int = 1) -> str:
    """Two fractions as ``88.1–93.0`` or ``-3.0 to 7.0`` percent; one number if both look equal."""
    first, last = percent(low, digits), percent(high, digits)
    between = " to " if low < 0 else "–"
    return first if first == last else f"{first}{between}{last}"


def share_span(low: float, high: float) -> str:
    """Two small fractions as ``0.11–0.19`` percent."""
    first, last = share(low), share(high)
    return first if first == last else f"{first}–{last}"


def probability(value: float) -> str:
    """A probability, or a difference of two, with two leading digits."""
    return "0" if value == 0 else f"{value:.2g}"


def nat(value: float, digits: int = 3, signed: bool = False) -> str:
    """A log-probability or a difference of two: ``-0.105`` or ``+0.105``, and never ``-0.000``."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def points(value: float) -> str:
    """A difference of two shares in percentage points, with its sign: ``-22.5``."""
    return "0.0" if abs(value) < 0.0005 else f"{100 * value:+.1f}"


def point_span(number: Number) -> str:
    """A difference of two shares and its range, if it has one: ``-22.5 (-30.0 to -15.0)``."""
    text = points(number.value or 0.0)
    if number.low is None or number.high is None:
        return text
    return f"{text} ({points(number.low)} to {points(number.high)})"


def in_points(number: Number, signed: bool = True) -> str:
    """A difference of two shares with its range: ``12.0 points (5.0 to 20.0)``.

    Args:
        number: a difference that has a value.
        signed: its value with a minus where it is negative; the ends always have one.
    """
    assert number.value is not None
    value = number.value if signed else abs(number.value)
    return f"{percent(value)} points ({percent(number.bottom)} to {percent(number.top)})"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 data set``, ``1,024 neurons``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def joined(words: Sequence[str], final: Literal["and", "or"] = "and") -> str:
    """Words as an English list: ``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {final} {words[-1]}"


def unbroken(text: str) -> str:
    """Text whose percent signs stay on the line of their number."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def texts(number: Number, form: str = "percent") -> tuple[str, str]:
    """A number and its range as the cells of tables show them; no range: empty.

    Args:
        number: has a value.
        form: ``percent`` or ``fine`` (two decimals) of a share; ``share``, a small one without its
            range; ``points``, a difference with its sign; ``difference``, one without; ``nat``,
            ``nat4`` (four decimals) or ``plain`` (two).
    """
    assert number.value is not None
    text = _FORMS[form]
    if number.low is None or number.high is None or form == "share":
        return text(number.value), ""
    if form in ("percent", "fine"):
        return text(number.value), percent_span(number.low, number.high)
    return text(number.value), f"{text(number.low)} to {text(number.high)}"


_FORMS: dict[str, Callable[[float], str]] = {
    "percent": percent,
    "fine": lambda value: percent(value, 2),
    "difference": percent,
    "share": share,
    "points": points,
    "nat": nat,
    "nat4": lambda value: nat(value, 4),
    "plain": "{:.2f}".format,
}
