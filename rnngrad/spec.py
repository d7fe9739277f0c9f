"""Named shapes: parse them, bind their dims to sizes, say what does not fit.

The grammar is jaxtyping's: names, integers, sums and multiples (``n+1``, ``4*n``), ``*batch`` for any number
of axes, ``...`` for the same without a name, and ``""`` for a scalar. A name means one size within a case.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from keyword import iskeyword

from rnngrad.errors import InvalidPair

__all__ = ["RESERVED", "Array", "Axis", "Group", "Shape", "Sizes", "bind", "check_limits", "dim_names", "parse"]

__tracebackhide__ = True

Sizes = dict[str, int | tuple[int, ...]]

ELLIPSIS = "_"  # the name that `...` has among the dims: a keyword of Case can be no other
RESERVED = ("fills", "scale", "seed")  # the other keywords of Case
TERM = re.compile(r"(?:(?P<factor>[0-9]+)(?:\*(?=[A-Za-z_]))?)?(?P<name>[A-Za-z_]\w*)?\Z")


@dataclass(frozen=True)
class Axis:
    """One axis: a sum of named dims, each with a factor, and a constant."""

    text: str
    terms: tuple[tuple[str, int], ...]
    constant: int

    def size(self, sizes: Sizes) -> int | None:
        """Return the size of this axis, or None while one of its dims is unbound."""
        total = self.constant
        for name, factor in self.terms:
            if name not in sizes:
                return None
            total += factor * int(sizes[name])  # type: ignore[arg-type]  # a plain dim is never a tuple
        return total


@dataclass(frozen=True)
class Group:
    """Any number of axes under one name."""

    text: str
    name: str


@dataclass(frozen=True)
class Array:
    """Declare an input of which cases draw only some values: reals between bounds, or integers from 0 on.

    ``rg.Array("n", low=0)`` stands for positive numbers, ``low=0, high=1`` for those between 0 and 1, the bounds left
    out. ``rg.Array("N", below="k")`` stands for integers 0 to k - 1, which are not differentiated: labels below a dim,
    or with ``below=2`` a mask. Only drawn values are held to it.
    """

    shape: str
    _: KW_ONLY
    low: float | None = None
    high: float | None = None
    below: str | int | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if any(isinstance(bound, bool | str) or not float("-inf") < bound < float("inf") for bound in bounds):
            raise InvalidPair(f"{self}: a bound is a finite number")
        if len(bounds) == 2 and bounds[0] >= bounds[1]:
            raise InvalidPair(f"{self}: nothing lies between low and high")
        if bounds and self.below is not None:
            raise InvalidPair(f"{self}: integers run from 0 to below - 1; low and high are for reals")


@dataclass(frozen=True)
class Shape:
    """The declared shape of one array, and where its drawn values lie: between bounds, or ``below`` a size."""

    text: str
    axes: tuple[Axis | Group, ...]
    low: float | None = None
    high: float | None = None
    below: Axis | None = None

    def sizes(self, sizes: Sizes) -> tuple[int, ...]:
        """Return the concrete shape for the given sizes of the dims."""
        out: list[int] = []
        for axis in self.axes:
            if isinstance(axis, Group):
                out.extend(sizes[axis.name])  # type: ignore[arg-type]  # a group is always a tuple
                continue
            size = axis.size(sizes)
            if size is None or size < 0:
                raise InvalidPair(f"the axis {axis.text!r} of {self.text!r} has no size for {sizes}")
            out.append(size)
        return tuple(out)


def parse(text: str | Array) -> Shape:
    """Parse a shape such as ``"n m"``; raise InvalidPair that points at what does not parse."""
    if isinstance(text, Array):
        shape, below = parse(text.shape), None if text.below is None else str(text.below)
        limit = None if below is None else parse_axis(below, 0, below)
        return Shape(shape.text, shape.axes, text.low, text.high, limit)
    if not isinstance(text, str):
        raise InvalidPair(f"a shape is a string such as 'n m', got {text!r} ({type(text).__name__})")
    axes: list[Axis | Group] = []
    for match in re.finditer(r"\S+", text):
        word = match.group()
        if word == "...":
            axes.append(Group(word, ELLIPSIS))
        elif word.startswith("*") and word[1:].isidentifier():
            axes.append(Group(word, checked_name(text, match.start() + 1, word[1:])))
        else:
            axes.append(parse_axis(text, match.start(), word))
    if sum(isinstance(axis, Group) for axis in axes) > 1:
        raise InvalidPair(f"shape {text!r} has two groups of axes; one of them could be any length, two cannot")
    return Shape(text, tuple(axes))


def parse_axis(text: str, start: int, word: str) -> Axis:
    """Parse one axis: terms joined by + and -."""
    terms: dict[str, int] = {}
    constant = 0
    for piece in re.finditer(r"(?P<sign>[+-]?)(?P<term>[^+-]*)", word):
        if piece.start() == len(word):
            continue
        term = TERM.match(piece["term"])
        if not piece["term"] or term is None:
            raise not_parsed(text, start + piece.start("term"))
        count = int(term["factor"] or 1) * (-1 if piece["sign"] == "-" else 1)
        if term["name"] is None:
            constant += count
        else:
            name = checked_name(text, start + piece.start("term") + term.start("name"), term["name"])
            terms[name] = terms.get(name, 0) + count
    if any(factor < 1 for factor in terms.values()):
        raise not_parsed(text, start, "a dim can be added, not subtracted")
    if not terms and constant < 0:
        raise not_parsed(text, start, "a size is not negative")
    return Axis(word, tuple(terms.items()), constant)


def checked_name(text: str, position: int, name: str) -> str:
    """Return the name of a dim; raise InvalidPair where Case could not carry it."""
    if name in RESERVED or name == ELLIPSIS or iskeyword(name) or not name.isidentifier():
        raise not_parsed(text, position, f"{name!r} is reserved; choose another name for this dim")
    return name


def not_parsed(
    text: str, position: int, why: str = "expected a name, an integer, a sum, '*name' or '...'"
) -> InvalidPair:
    """Return the error that points at one position of a shape."""
    return InvalidPair(f"shape {text!r} does not parse here: {why}\n    {text}\n    {' ' * position}^")


def dim_names(shapes: Iterable[Shape]) -> dict[str, bool]:
    """Return every dim in order of appearance, True where it names a group of axes."""
    names: dict[str, bool] = {}
    for shape in shapes:
        for axis in shape.axes:
            found = [(axis.name, True)] if isinstance(axis, Group) else [(name, False) for name, _ in axis.terms]
            for name, is_group in found:
                if names.setdefault(name, is_group) != is_group:
                    raise InvalidPair(f"dim {name!r} is one axis in one shape and a group of axes in another")
    return names


def check_limits(shapes: Mapping[str, Shape]) -> None:
    """Raise InvalidPair where integers are to lie below a dim that no shape has."""
    known = [name for name, is_group in dim_names(shapes.values()).items() if not is_group]
    for name, shape in shapes.items():
        unknown = [] if shape.below is None else [dim for dim, _ in shape.below.terms if dim not in known]
        if unknown:
            raise InvalidPair(f"input {name!r} lies below {unknown}, which are no dims; the dims are {known}")


def bind(shapes: Mapping[str, Shape], actual: Mapping[str, tuple[int, ...]]) -> Sizes:
    """Bind every dim to its size in the given arrays; raise InvalidPair naming what does not fit.

    Axes of a single dim bind it; sums are solved for their one unbound dim, then checked.
    """
    return dict(solved(tuple(shapes.items()), tuple([actual[name] for name in shapes])))


@lru_cache(maxsize=64)  # a check of a small cell would else spend as long on it as on a forward pass
def solved(shapes: tuple[tuple[str, Shape], ...], actual: tuple[tuple[int, ...], ...]) -> Sizes:
    """Bind every dim; see `bind`."""
    sizes: Sizes = {}
    seen: dict[str, str] = {}
    pending: list[tuple[str, Axis, int]] = []
    for (name, shape), found in zip(shapes, actual, strict=True):
        for axis, size in matched_axes(name, shape, found):
            where = f"{name} {found}"
            if isinstance(axis, Group):
                bind_dim(axis.name, size, where, sizes, seen)
            else:
                pending.append((where, axis, size))  # type: ignore[arg-type]  # an Axis has one size
    progress = True
    while progress:
        progress = False
        for where, axis, size in pending:
            unbound = [term for term in axis.terms if term[0] not in sizes]
            if len(unbound) == 1:
                solve_axis(axis, size, where, unbound[0], sizes, seen)
                progress = True
    for where, axis, size in pending:
        check_axis(axis, size, where, sizes, seen)
    return sizes


def matched_axes(name: str, shape: Shape, actual: tuple[int, ...]) -> list[tuple[Axis | Group, int | tuple[int, ...]]]:
    """Pair the declared axes with the actual sizes; the group, if any, takes what is left."""
    fixed = sum(isinstance(axis, Axis) for axis in shape.axes)
    spare = len(actual) - fixed
    if spare < 0 or (spare > 0 and fixed == len(shape.axes)):
        raise InvalidPair(f"{name} has shape {actual} with {len(actual)} axes, declared {shape.text!r} with {fixed}")
    out: list[tuple[Axis | Group, int | tuple[int, ...]]] = []
    position = 0
    for axis in shape.axes:
        if isinstance(axis, Group):
            out.append((axis, actual[position : position + spare]))
            position += spare
        else:
            out.append((axis, actual[position]))
            position += 1
    return out


def bind_dim(name: str, size: int | tuple[int, ...], where: str, sizes: Sizes, seen: dict[str, str]) -> None:
    """Record one dim's size, or raise where another array gave it another size."""
    if sizes.setdefault(name, size) != size:
        raise InvalidPair(f"dim {name!r} is {sizes[name]} in {seen[name]} but {size} in {where}")
    seen.setdefault(name, where)


def solve_axis(axis: Axis, size: int, where: str, unbound: tuple[str, int], sizes: Sizes, seen: dict[str, str]) -> None:
    """Bind the one unbound dim of an axis, or raise where no size of it fits."""
    name, factor = unbound
    known = sum(count * int(sizes[other]) for other, count in axis.terms if other in sizes)  # type: ignore[arg-type,misc]
    value, rest = divmod(size - axis.constant - known, factor)
    if rest or value < 0:
        raise InvalidPair(f"the axis {axis.text!r} of {where} has size {size}, which no size of {name!r} gives")
    bind_dim(name, value, where, sizes, seen)


def check_axis(axis: Axis, size: int, where: str, sizes: Sizes, seen: dict[str, str]) -> None:
    """Raise InvalidPair where a bound axis has another size than declared."""
    if len(axis.terms) == 1 and axis.terms[0][1] == 1 and not axis.constant:
        bind_dim(axis.terms[0][0], size, where, sizes, seen)
    expected = axis.size(sizes)
    if expected is None:
        raise InvalidPair(f"the axis {axis.text!r} of {where} leaves its dims open; name one of them in another axis")
    if expected != size:
        others = ", ".join(f"{name} = {sizes[name]} in {seen[name]}" for name, _ in axis.terms)
        raise InvalidPair(
            f"the axis {axis.text!r} of {where} has size {size}, expected {expected} ({others or 'as declared'})"
        )
