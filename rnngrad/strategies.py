"""Hypothesis draws the cases. This is the only module that imports it.

A case is drawn in this order: a size for each dim, a fill for each input, one scale, one seed. The simplest value
of each comes first, so a failure shrinks to the smallest sizes, full arrays, scale 1 and seed 0, which is one short
line. Values are not drawn by Hypothesis: a thousand independent floats neither vary enough nor shrink.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

import numpy as np
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st
from hypothesis.control import current_build_context

from rnngrad.case import Case
from rnngrad.check.assertion import assert_gradients
from rnngrad.check.tally import weigh
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair
from rnngrad.power import measure_power
from rnngrad.regress.equivalence import assert_equivalent
from rnngrad.result import Power
from rnngrad.search import Search
from rnngrad.spec import Axis, Shape, dim_names

__all__ = ["PROFILES", "cases", "equivalence_test", "gradient_test", "power", "register_profiles"]

__tracebackhide__ = True

LARGEST = 6  # sizes are drawn from 1 to 6: enough to tell every dim of a cell from every other
GROUP_AXES = 2  # a group of axes is drawn with 0, 1 or 2 axes
GROUP_SIZE = 3
LISTED = 64  # a longer span hardly repeats a size
LARGE_SEED = 2**32 - 1
SEARCH: ContextVar[Search] = ContextVar("SEARCH")  # that of the test that runs

PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"deadline": None},
    "ci": {"deadline": None, "derandomize": True, "database": None, "print_blob": True},
    "explore": {"deadline": None, "derandomize": False, "max_examples": 2000},
}


def register_profiles(*names: str) -> None:
    """Register Hypothesis profiles of this project, all of them by default, and load none."""
    for name in names or PROFILES:
        settings.register_profile(name, settings(settings.get_profile("default"), **PROFILES[name]))


@st.composite
def cases(draw: Callable[[Any], Any], pair: Pair, dims: Mapping[str, Any] | None = None) -> Case:
    """Draw cases of a pair.

    dims: for some dims the sizes to draw from, as ``(low, high)``, or one size; a low of 0 asks for empty axes too.
        By default sizes run from 1 to 6, mostly all different. For a group such as ``*batch`` a tuple is its one size.
    """
    fixed, spans, groups = drawn_dims(pair, dims or {})
    sizes: dict[str, Any] = dict(fixed)
    sizes |= draw_sizes(draw, spans)
    for name in groups:
        sizes[name] = tuple(draw(st.lists(st.integers(1, GROUP_SIZE), max_size=GROUP_AXES)))
    fills = {name: draw(FILL) for name in pair.shapes}
    ordered = {name: sizes[name] for name in dim_names(pair.shapes.values())}
    return Case(fills=fills, scale=2.0 ** draw(SCALE), seed=draw(SEED), **ordered)


FILL = st.sampled_from(["full"] * 8 + ["zeros", "one-hot"])
SCALE = st.sampled_from([0, 1, -1, 2, -2, 3, -3, 4, -4])
SEED = st.integers(0, LARGE_SEED)


def draw_sizes(draw: Callable[[Any], Any], spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Draw a size for each dim, mostly one that no other has: what mixes two dims up is hidden where they are equal.

    One number is drawn for each dim: a low one stands for a size of the span, in order, so that it shrinks to the
    smallest; a higher one for a size that is still free.
    """
    sizes: dict[str, int] = {}
    for name, (low, high) in spans.items():
        span = high - low + 1
        number = draw(st.integers(0, 4 * span - 1))
        free = [size for size in range(low, high + 1) if size not in sizes.values()] if span <= LISTED else []
        choices = free if free and number >= span else range(low, high + 1)
        sizes[name] = choices[number % len(choices)]
    return sizes


def drawn_dims(pair: Pair, dims: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[int, int]], list[str]]:
    """Sort the dims of a pair into those with one size, those with a span of sizes, and groups of axes."""
    if not isinstance(pair, Pair) or not pair.shapes:
        named = pair.name if isinstance(pair, Pair) else repr(pair)
        raise InvalidPair(f"cases are drawn from declared shapes; {named} declares no inputs")
    if not isinstance(dims, Mapping):
        raise InvalidPair(f"dims is a dict from dim to sizes, got {dims!r}")
    known = dim_names(pair.shapes.values())
    unknown = [name for name in dims if name not in known]
    if unknown:
        raise InvalidPair(f"dims names {unknown}; the dims of {pair.name} are {list(known)}")
    fixed: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    groups: list[str] = []
    for name, is_group in known.items():
        asked = dims.get(name)
        if is_group and asked is None:
            groups.append(name)
        elif is_group or isinstance(asked, int | np.integer):
            fixed[name] = checked_fixed(name, asked, is_group)
        else:
            spans[name] = checked_span(name, asked, smallest(name, pair.shapes))
    return fixed, spans, groups


def checked_span(name: str, asked: Any, least: int) -> tuple[int, int]:
    """Return the sizes to draw from; raise InvalidPair where they are no span."""
    if asked is None:
        return least, least + LARGEST - 1
    sizes = asked if isinstance(asked, tuple | list) else ()
    if len(sizes) != 2 or not all(is_size(size) for size in sizes) or sizes[0] > sizes[1]:
        raise InvalidPair(f"dims={{{name!r}: {asked!r}}}; expected (low, high) with 0 <= low <= high, or one size")
    return int(sizes[0]), int(sizes[1])


def checked_fixed(name: str, asked: Any, is_group: bool) -> Any:
    """Return the one size asked for, a tuple for a group; raise InvalidPair where it is none."""
    sizes = tuple(asked) if is_group and isinstance(asked, tuple | list) else (asked,)
    if not all(is_size(size) for size in sizes) or (is_group and not isinstance(asked, tuple | list)):
        wanted = "a tuple of sizes, one for each axis of the group" if is_group else "(low, high), or one size >= 0"
        raise InvalidPair(f"dims={{{name!r}: {asked!r}}}; expected {wanted}")
    return tuple(int(size) for size in sizes) if is_group else int(asked)


def is_size(value: Any) -> bool:
    """Tell whether a value is a size: an integer, 0 or more."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)


def smallest(name: str, shapes: Mapping[str, Shape]) -> int:
    """Return the least size of a dim with which no axis is empty, whatever the others."""
    axes = [axis for shape in shapes.values() for axis in shape.axes if isinstance(axis, Axis)]
    factors = [(dict(axis.terms).get(name), axis.constant) for axis in axes]
    return max([1, *(-((constant - 1) // factor) for factor, constant in factors if factor)])


def gradient_test(
    pair: Pair, *, dims: Mapping[str, Any] | None = None, settings: settings | None = None
) -> Callable[[], None]:
    """Return a Hypothesis test of every gradient of a pair, which pytest collects under the name it is given.

    It may stand in a module or in a class. dims is that of `cases`. settings are Hypothesis', taken as they are but for
    the explain phase; by default those of the profile that is loaded, without a deadline. Where forward is slow the
    search for the smallest case ends 5 s after the first failure, and the report says so.
    """
    drawn_dims(pair, dims or {})  # a bad declaration is told where the test is made, not where it runs

    def test(case: Case) -> None:
        __tracebackhide__ = True
        SEARCH.get().hold(partial(assert_gradients, pair), case, final=current_build_context().is_final)

    test.__name__ = test.__qualname__ = "test_" + re.sub(r"\W", "_", str(pair.name))
    test.__doc__ = f"Check the gradients of {pair.name} on drawn cases."
    test.__module__ = pair.module
    key = f"{pair.module}:{pair.name}:{dict(pair.inputs or {})}:{dims}"
    return drawn_test(test, pair, dims, settings, key)


def equivalence_test(
    old: Pair,
    new: Pair,
    *,
    names: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    bitwise: bool = False,
    dims: Mapping[str, Any] | None = None,
    settings: settings | None = None,
) -> Callable[[], None]:
    """Return a Hypothesis test that two pairs compute the same, drawn from the shapes of the old one.

    dims is that of `cases`, settings those of `gradient_test`, the rest is that of `equivalence`.
    """
    for pair in (old, new):
        if not isinstance(pair, Pair):
            raise InvalidPair(f"equivalence_test takes two pairs, built by rg.pair or rg.Pair; got {pair!r}")
    drawn_dims(old, dims or {})
    compare = partial(assert_equivalent, old, new, names=names, outputs=outputs, bitwise=bitwise)

    def test(case: Case) -> None:
        __tracebackhide__ = True
        SEARCH.get().hold(compare, case, final=current_build_context().is_final)

    test.__name__ = test.__qualname__ = "test_" + re.sub(r"\W", "_", f"{old.name}_against_{new.name}")
    test.__doc__ = f"Compare {new.name} with {old.name} on drawn cases."
    test.__module__ = new.module
    key = f"{old.module}:{old.name}:{new.module}:{new.name}:{dict(old.inputs or {})}:{dims}"
    return drawn_test(test, old, dims, settings, key)


def drawn_test(
    test: Callable[[Case], None], pair: Pair, dims: Mapping[str, Any] | None, chosen: settings | None, key: str
) -> Callable[[], None]:
    """Return a Hypothesis test that runs on cases of a pair; its failures are kept under a key."""
    test._hypothesis_internal_add_digest = key.encode()  # type: ignore[attr-defined]
    property_test = plain(chosen)(given(cases(pair, dims=dims))(test))
    property_test.rnngrad_pair = pair  # type: ignore[attr-defined]
    property_test.rnngrad_drawn = {"dims": dims, "settings": chosen}  # type: ignore[attr-defined]

    @wraps(property_test)
    def run(*_: object) -> None:  # as a method it is given its instance, which it does not need
        __tracebackhide__ = True
        token = SEARCH.set(Search(reject))
        try:
            property_test()
        finally:
            SEARCH.reset(token)

    run.__dict__ = property_test.__dict__  # one for both: what Hypothesis and pytest set on one holds for the other
    return run


def power(
    tested: Pair | Callable[[], None], *, dims: Mapping[str, Any] | None = None, settings: settings | None = None
) -> Power:
    """Plant standard errors into the gradients of a pair and tell which of them its test would have caught.

    tested: a test made by `gradient_test`, or a pair; of a pair dims and settings are those of such a test.

    Takes about the time of two runs of the test. Raises InvalidPair where nothing can be drawn or checked.
    """
    pair: Any = getattr(tested, "rnngrad_pair", tested)
    drawn = getattr(tested, "rnngrad_drawn", {"dims": dims, "settings": settings})
    drawn_dims(pair, drawn["dims"] or {})
    found: list[Case] = []
    collect = given(cases(pair, dims=drawn["dims"]))(lambda case: found.append(case))
    plain(drawn["settings"])(collect)()
    measured = measure_power(pair, found)
    weigh(measured)
    return measured


def plain(chosen: settings | None) -> settings:
    """Return settings without the explain phase, and without a deadline where none were chosen.

    That phase traces lines, slowly, to find the one that is to blame; the report has found it already. The first
    example pays for the imports.
    """
    known = settings(deadline=None) if chosen is None else chosen
    return settings(known, phases=[phase for phase in known.phases if phase is not Phase.explain])
