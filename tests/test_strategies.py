"""What Hypothesis draws, what it shrinks to, and the tests that `gradient_test` makes."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:

import subprocess
import sys
import time
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import DeadlineExceeded, FlakyFailure

import rnngrad as rg
from rnngrad.case import draw_inputs
from rnngrad.cells.rnn import rnn_cell
from rnngrad.check.tally import collecting
from rnngrad.search import Search
from rnngrad.spec import bind
from rnngrad.strategies import PROFILES, register_profiles

HERMETIC = {"derandomize": True, "database": None, "deadline": None}


@pytest.fixture(autouse=True)
def hermetic():
    """Draw the same examples at every run, and keep none."""
    before = settings.get_current_profile_name()
    settings.register_profile("hermetic", settings(settings.get_profile("default"), **HERMETIC))
    settings.load_profile("hermetic")
    yield
    settings.load_profile(before)


def shaped(**inputs):
    """Return a pair that only declares shapes."""
    return rg.Pair(lambda inputs: (inputs, None), lambda cotangents, cache: cotangents, inputs=inputs, name="shaped")


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def averaged_backward(dout, cache):
    dx, dw, db = affine_backward(dout, cache)
    return dx, dw / len(dout), db


def doubled_backward(dout, cache):
    dx, dw, db = affine_backward(dout, cache)
    return 2 * dx, 3 * dw, db


AFFINE = {"x": "N d", "w": "d m", "b": "m"}
affine = rg.pair(affine_forward, affine_backward, inputs=AFFINE)
averaged = rg.pair(affine_forward, averaged_backward, inputs=AFFINE, name="averaged")
doubled = rg.pair(affine_forward, doubled_backward, inputs=AFFINE, name="doubled")
grouped = shaped(x="*batch d", w="d")


def drawn(pair, dims=None, examples=200):
    """Return the cases that a run would see."""
    seen = []

    @settings(max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(rg.cases(pair, dims=dims))
    def collect(case):
        seen.append(case)

    collect()
    return seen


def sizes(cases, name):
    """Return every size of a dim that was drawn."""
    return {case.dims[name] for case in cases}


@pytest.mark.parametrize(
    "pair",
    [
        rnn_cell,
        affine,
        grouped,
        shaped(x="n+1 2*m", w="n m"),
        shaped(x="n-2", y="n"),
        shaped(x="... d"),
        shaped(x=""),
        shaped(x="3 4"),
    ],
    ids=lambda pair: " ".join(pair.inputs.values()),
)
def test_every_drawn_case_fits_its_pair(pair):
    cases = drawn(pair, examples=100)
    for case in cases:
        arrays = draw_inputs(pair.shapes, case)
        assert bind(pair.shapes, {name: array.shape for name, array in arrays.items()}) == case.dims
        assert all(array.size for array in arrays.values())
        assert rg.Case(**case.dims, fills=case.fills, scale=case.scale, seed=case.seed) == case
    assert len({case.seed for case in cases}) > 10


def test_the_dims_of_a_case_stand_in_declared_order():
    assert {tuple(case.dims) for case in drawn(affine, {"m": 2, "N": (1, 2)}, examples=20)} == {("N", "d", "m")}


def test_sizes_run_from_one_to_six_by_default():
    cases = drawn(affine)
    assert [sizes(cases, name) for name in ("N", "d", "m")] == [set(range(1, 7))] * 3


def test_sizes_of_one_case_mostly_differ_but_not_always():
    distinct = [len(set(case.dims.values())) == 3 for case in drawn(affine)]
    assert 0.5 < np.mean(distinct) < 1


def test_scales_and_fills_all_come_up():
    cases = drawn(affine, examples=400)
    assert {case.scale for case in cases} == {2.0**k for k in range(-4, 5)}
    assert {fill for case in cases for fill in case.fills.values()} == {"zeros", "one-hot"}
    assert any(not case.fills for case in cases)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ((2, 3), {2, 3}),
        ([2, 3], {2, 3}),
        (4, {4}),
        (np.int64(4), {4}),
        (0, {0}),
        ((0, 1), {0, 1}),
        ((5, 5), {5}),
    ],
)
def test_asked_sizes_are_the_only_ones_drawn(asked, seen):
    assert sizes(drawn(affine, {"N": asked}), "N") == seen


def test_a_wide_span_is_drawn_from_all_over():
    seen = sizes(drawn(affine, {"N": (1, 5000)}), "N")
    assert min(seen) >= 1
    assert 64 < max(seen) <= 5000


def test_a_span_too_small_for_distinct_sizes_repeats_them():
    cases = drawn(affine, {"N": (2, 2), "d": (2, 2), "m": (2, 2)}, examples=10)
    assert {tuple(case.dims.values()) for case in cases} == {(2, 2, 2)}


def test_a_group_of_axes_is_drawn_as_a_tuple_of_up_to_two_small_sizes():
    groups = sizes(drawn(grouped), "batch")
    assert {len(group) for group in groups} == {0, 1, 2}
    assert {size for group in groups for size in group} == {1, 2, 3}


@pytest.mark.parametrize("asked", [(2, 3), [2, 3], (), (0,)])
def test_the_size_of_a_group_is_the_tuple_that_was_asked_for(asked):
    assert sizes(drawn(grouped, {"batch": asked}, examples=10), "batch") == {tuple(asked)}


@pytest.mark.parametrize(("shape", "least"), [("n", 1), ("n+1", 1), ("2*n", 1), ("n-1", 2), ("n-3", 4), ("2*n-3", 2)])
def test_no_axis_is_empty_unless_asked_for(shape, least):
    assert sizes(drawn(shaped(x=shape)), "n") == set(range(least, least + 6))


@pytest.mark.parametrize(
    ("pair", "dims", "message"),
    [
        (affine, {"z": 1}, r"dims names \['z'\]; the dims of affine are \['N', 'd', 'm'\]"),
        (affine, {"N": (3, 1)}, r"dims=\{'N': \(3, 1\)\}; expected \(low, high\) with 0 <= low <= high, or one size"),
        (affine, {"N": (-1, 1)}, "expected"),
        (affine, {"N": (1, 2, 3)}, "expected"),
        (affine, {"N": 2.0}, "expected"),
        (affine, {"N": "12"}, "expected"),
        (affine, {"N": -1}, r"dims=\{'N': -1\}; expected \(low, high\), or one size >= 0"),
        (affine, {"N": True}, r"dims=\{'N': True\}; expected"),
        (affine, {"N": ("a", "b")}, r"expected \(low, high\) with 0 <= low"),
        (affine, [("N", 1)], r"dims is a dict from dim to sizes, got \[\('N', 1\)\]"),
        (grouped, {"batch": 3}, r"dims=\{'batch': 3\}; expected a tuple of sizes, one for each axis of the group"),
        (grouped, {"batch": (1, -2)}, r"dims=\{'batch': \(1, -2\)\}; expected a tuple of sizes"),
        (rg.Pair(lambda inputs: None, lambda cotangents, cache: None, name="bare"), None, "declares no inputs"),
        (affine_forward, None, "declares no inputs"),
    ],
)
def test_a_declaration_from_which_no_case_can_be_drawn_is_told_where_the_test_is_made(pair, dims, message):
    with pytest.raises(rg.InvalidPair, match=message):
        rg.gradient_test(pair, dims=dims)


def test_what_cannot_be_drawn_is_told_by_cases_too():
    with pytest.raises(rg.InvalidPair, match="dims names"):
        drawn(affine, {"z": 1})


@pytest.mark.parametrize(
    ("pair", "dims", "wanted", "smallest"),
    [
        (rnn_cell, None, lambda case: True, "Case(m=1, N=1, n=1, k=1, seed=0)"),
        (affine, {"N": (3, 9), "m": (0, 4)}, lambda case: True, "Case(N=3, d=1, m=0, seed=0)"),
        (grouped, None, lambda case: True, "Case(batch=(), d=1, seed=0)"),
        (grouped, None, lambda case: len(case.dims["batch"]) == 2, "Case(batch=(1, 1), d=1, seed=0)"),
        (shaped(x="n-1"), None, lambda case: True, "Case(n=2, seed=0)"),
        (affine, None, lambda case: case.dims["d"] > 2, "Case(N=1, d=3, m=1, seed=0)"),
        (affine, None, lambda case: case.seed > 0, "Case(N=1, d=1, m=1, seed=1)"),
        (affine, None, lambda case: case.scale != 1, "Case(N=1, d=1, m=1, scale=2.0, seed=0)"),
        (affine, None, lambda case: "w" in case.fills, "Case(N=1, d=1, m=1, fills={'w': 'zeros'}, seed=0)"),
    ],
)
def test_a_case_shrinks_to_the_smallest_sizes_full_arrays_scale_one_and_seed_zero(pair, dims, wanted, smallest):
    chosen = settings(max_examples=2000, suppress_health_check=list(HealthCheck))
    assert repr(find(rg.cases(pair, dims=dims), wanted, settings=chosen)) == smallest


def test_a_gradient_test_passes_on_a_right_pair_and_checks_every_example():
    with collecting() as tallies:
        assert rg.gradient_test(affine)() is None
    assert tallies["affine"]["examples"] == 100
    assert {name: row["FAIL"] for name, row in tallies["affine"]["gradients"].items()} == {"x": 0, "w": 0, "b": 0}
    assert all(row["pass"] == 100 for row in tallies["affine"]["gradients"].values())


def test_a_gradient_test_raises_on_a_wrong_pair_with_the_smallest_case_that_shows_it():
    with pytest.raises(rg.GradientMismatch, match=r"^w\[0, 0\]: backward -0.08, numeric -0.16 ± ") as caught:
        rg.gradient_test(averaged)()
    assert caught.value.report.case == "Case(N=2, d=1, m=1, seed=0)"
    assert [gradient.verdict.name for gradient in caught.value.report.gradients] == ["PASS", "FAIL", "PASS"]


def test_two_wrong_gradients_are_reported_as_two():
    with pytest.raises(ExceptionGroup) as caught:
        rg.gradient_test(doubled, settings=settings(max_examples=300))()  # few examples may all lead with one of them
    found = caught.value.exceptions
    assert {error.report.lead for error in found} == {"x", "w"}
    assert all(isinstance(error, rg.GradientMismatch) for error in found)
    assert len({type(error) for error in found}) == 2


def test_only_asked_sizes_are_tested():
    with collecting() as tallies:
        rg.gradient_test(affine, dims={"N": (2, 3), "d": 4, "m": 0}, settings=settings(max_examples=20))()
    assert tallies["affine"]["sizes"] == {"N": [2, 3], "d": [4, 4], "m": [0, 0]}


class Recording(ExampleDatabase):
    """A database that only remembers what it was asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def fetch(self, key):
        self.asked.append(key)
        return ()

    def save(self, key, value): ...

    def delete(self, key, value): ...


def key_of(pair, dims=None):
    """Return the key under which Hypothesis would keep the failures of a test."""
    database = Recording()
    rg.gradient_test(pair, dims=dims, settings=settings(database=database, derandomize=False, max_examples=1))()
    return database.asked[0]


def test_tests_made_for_different_pairs_keep_their_failures_apart():
    other_name = rg.pair(affine_forward, affine_backward, inputs=AFFINE, name="other")
    other_shapes = rg.pair(affine_forward, affine_backward, inputs={"x": "n d", "w": "d m", "b": "m"}, name="affine")
    tests = [(affine, None), (other_name, None), (other_shapes, None), (affine, {"N": 2})]
    assert len({key_of(pair, dims) for pair, dims in tests}) == len(tests)
    assert key_of(affine) == key_of(rg.pair(affine_forward, affine_backward, inputs=AFFINE))


def test_a_gradient_test_is_named_after_its_pair_and_stands_in_its_module():
    test = rg.gradient_test(averaged)
    assert (test.__name__, test.__module__) == ("test_averaged", __name__)
    assert test.__doc__ == "Check the gradients of averaged on drawn cases."
    assert test.rnngrad_pair is averaged


def slow_once(seconds=0.4):
    """Return a right pair whose first forward pass is slow."""
    calls = []

    def forward(x):
        if not calls:
            time.sleep(seconds)
        calls.append(x)
        return x.sum(), x

    return rg.pair(forward, lambda dout, x: dout * np.ones_like(x), inputs={"x": "n"}, name="slow")


def test_a_gradient_test_has_no_deadline():
    settings.load_profile("default")
    rg.gradient_test(slow_once())()


def test_given_settings_are_taken_as_they_are():
    with collecting() as tallies:
        rg.gradient_test(affine, settings=settings(max_examples=3))()
    assert tallies["affine"]["examples"] == 3
    with pytest.raises(FlakyFailure) as caught:
        rg.gradient_test(slow_once(), settings=settings(deadline=timedelta(milliseconds=200)))()
    assert isinstance(caught.value.exceptions[0], DeadlineExceeded)


def test_a_failure_is_told_without_the_lines_that_hypothesis_would_blame():
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.gradient_test(averaged, settings=settings(max_examples=50))()
    assert caught.value.__notes__ == ["Failing test case: test_averaged(\n    case=Case(N=2, d=1, m=1, seed=0),\n)"]


def test_no_case_is_checked_twice_but_the_one_that_is_reported():
    asked = []

    def forward(x, w, b):
        return affine_forward(x, w, b)

    def backward(dout, cache):
        return averaged_backward(dout, cache)

    def watched(case):
        asked.append(case)
        rg.assert_gradients(pair, case)

    pair = rg.pair(forward, backward, inputs=AFFINE, name="watched")
    search, failing = Search(lambda: None), rg.Case(N=3, d=1, m=1, seed=0)
    for final in (False, False, True):
        with pytest.raises(rg.GradientMismatch) as caught:
            search.hold(watched, failing, final=final)
        assert caught.value.gradient == "w"
    assert asked == [failing, failing]


@pytest.fixture
def impatient(monkeypatch):
    """End each search for a smaller case at once."""
    monkeypatch.setattr("rnngrad.search.PATIENCE", 0.0)


CUT = "note the search for the smallest case ended 0 s after the first failure; a smaller one may fail as well"


@pytest.mark.usefixtures("impatient")
def test_a_search_that_takes_too_long_ends_with_the_case_that_it_has_and_says_so():
    with collecting() as tallies, pytest.raises(rg.GradientMismatch) as caught:
        rg.gradient_test(averaged)()
    assert CUT in " ".join(str(caught.value).split())
    assert caught.value.report.case != "Case(N=2, d=1, m=1, seed=0)"
    assert tallies["averaged"]["gradients"]["w"]["FAIL"] == 2  # found, and reported


@pytest.mark.usefixtures("impatient")
def test_where_a_check_is_slow_too_what_is_known_already_is_told(monkeypatch):
    monkeypatch.setattr("rnngrad.search.SOON", 0.0)
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.gradient_test(averaged)()
    lines = str(caught.value).splitlines()
    known = "w: along a random direction backward and numeric disagree; which entries are wrong has not been asked"
    assert lines[0] == known
    note = "note forward is slow, so that entries and diagnosis were left; the replay takes its time"
    assert f"{CUT} {note}" in " ".join(str(caught.value).split())
    assert [gradient.verdict.name for gradient in caught.value.report.gradients] == ["PASS", "FAIL", "PASS"]


@pytest.mark.usefixtures("impatient")
def test_a_search_for_what_moved_ends_as_well():
    with pytest.raises(rg.NotEquivalent) as caught:
        rg.equivalence_test(affine, averaged)()
    assert CUT in " ".join(str(caught.value).split())


def test_a_search_that_finds_the_smallest_case_says_nothing_of_its_length():
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.gradient_test(averaged)()
    assert "the search for the smallest case" not in str(caught.value)


def test_what_hypothesis_sets_on_a_test_holds_for_it():
    with collecting() as tallies:
        seed(3)(rg.gradient_test(affine, settings=settings(max_examples=3, derandomize=False)))()
    with collecting() as again:
        seed(3)(rg.gradient_test(affine, settings=settings(max_examples=3, derandomize=False)))()
    with collecting() as other:
        seed(4)(rg.gradient_test(affine, settings=settings(max_examples=3, derandomize=False)))()
    assert tallies == again != other


def test_the_profile_that_is_loaded_decides_where_no_settings_are_given():
    settings.register_profile("two", settings(settings.get_profile("hermetic"), max_examples=2))
    settings.load_profile("two")
    with collecting() as tallies:
        rg.gradient_test(affine)()
    assert tallies["affine"]["examples"] == 2


def test_profiles_are_registered_only_on_request_and_none_is_loaded():
    code = """
from hypothesis import settings
from hypothesis.errors import InvalidArgument
from rnngrad.strategies import PROFILES, register_profiles
known = []
before = settings.get_current_profile_name()
for step in (lambda: None, lambda: register_profiles("explore"), register_profiles):
    step()
    for name in PROFILES:
        if name == "ci":
            continue  # Hypothesis has one of that name itself
        try:
            known.append((name, settings.get_profile(name).max_examples))
        except InvalidArgument:
            known.append((name, None))
print(known, settings.get_current_profile_name() == before)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    steps = [("dev", None), ("explore", None), ("dev", None), ("explore", 2000), ("dev", 100), ("explore", 2000)]
    assert shown == f"{steps} True\n"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_holds_what_its_table_says_and_no_deadline(name):
    current = settings.get_current_profile_name()
    register_profiles(name)
    assert settings.get_current_profile_name() == current
    profile = settings.get_profile(name)
    assert profile.deadline is None
    assert {key: getattr(profile, key) for key in PROFILES[name]} == PROFILES[name]
