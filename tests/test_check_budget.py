"""What a check costs: known before, bounded by a budget, and cut short by an interrupt or a lack of memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell

PASS, FAIL, OPEN = rg.Verdict.PASS, rg.Verdict.FAIL, rg.Verdict.INCONCLUSIVE
CASE = rg.Case(n=7, N=2, m=8, seed=1)


def forward(x, w):
    return np.tanh(w @ x), (x, w)


def backward(dout, cache):
    x, w = cache
    da = (1 - np.tanh(w @ x) ** 2) * dout
    return w.T @ da, da @ x.T


class Counted:
    """A pair whose forward passes are counted."""

    def __init__(self, forward=forward, backward=backward, **rest):
        self.calls = 0

        def counting(*inputs):
            self.calls += 1
            return forward(*inputs)

        self.pair = rg.pair(counting, backward, **({"inputs": {"x": "n N", "w": "m n"}, "name": "layer"} | rest))


def real(x, w):
    """Return the same numbers by a way that complex numbers do not survive."""
    return np.tanh((w @ x).real), (x, w)


FORWARDS = {"safe": forward, "real": real}
WRONG = {
    "right": backward,
    "w wrong": lambda d, c: (backward(d, c)[0], backward(d, c)[1] * 1.001),
    "both wrong": lambda d, c: (-backward(d, c)[0], 2 * backward(d, c)[1]),
}


@pytest.mark.parametrize("effort", ["auto", "entries"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("f", FORWARDS)
@given(budget=st.integers(28, 400), seed=st.integers(0, 1000))
def test_no_more_forward_passes_are_made_than_the_budget_has(f, wrong, effort, budget, seed):
    counted = Counted(FORWARDS[f], WRONG[wrong])
    report = rg.check(counted.pair, rg.Case(n=7, N=2, m=8, seed=seed), budget=budget, effort=effort)
    assert counted.calls == report.evaluations <= budget
    wrong_ones = {"right": set(), "w wrong": {"w"}, "both wrong": {"x", "w"}}[wrong]
    for gradient in report.gradients:
        unseen = gradient.verdict is PASS and gradient.resolution > 1e-3  # a resolution that does not reach the error
        assert unseen or gradient.verdict in ((FAIL, OPEN) if gradient.name in wrong_ones else (PASS, OPEN))
        assert gradient.verdict is not OPEN or gradient.findings[0].kind in ("budget", "sharp", "noise")


@pytest.mark.parametrize("f", FORWARDS)
def test_the_least_budget_still_decides_what_is_right(f):
    report = rg.check(Counted(FORWARDS[f]).pair, CASE, budget=28)
    assert report.verdict is PASS


def test_a_larger_budget_buys_a_finer_resolution():
    coarse, middle, fine = (rg.check(Counted(real).pair, CASE, budget=budget) for budget in (28, 40, 100))
    assert coarse["w"].resolution > 10 * middle["w"].resolution > 100 * fine["w"].resolution


def test_a_wrong_gradient_is_not_passed_where_the_budget_ends_before_a_second_opinion():
    report = rg.check(Counted(backward=WRONG["w wrong"]).pair, CASE, budget=34)
    assert [gradient.verdict for gradient in report.gradients] == [PASS, OPEN]
    (finding,) = report["w"].findings
    assert finding.message.startswith("w: backward 6.41")
    assert "numeric 6.41" in finding.message
    assert "the budget of forward passes is spent before more can be said" in finding.message


def test_a_wrong_gradient_is_not_accused_where_the_budget_ends_before_an_entry_or_a_second_direction_bears_it_out():
    report = rg.check(Counted(backward=WRONG["w wrong"]).pair, CASE, budget=100)
    assert [gradient.verdict for gradient in report.gradients] == [PASS, OPEN]
    assert "the budget of forward passes is spent before more can be said" in str(report)
    assert rg.check(Counted(backward=WRONG["w wrong"]).pair, CASE)["w"].wrong >= 32


def small_entry_off(d, cache):
    """Return gradients of which a small entry of w is wrong: seen by its weight alone."""
    dx, dw = backward(d, cache)
    dw[0, 0] *= 1.5
    return dx, dw


@pytest.mark.parametrize("f", FORWARDS)
def test_what_only_the_weights_make_visible_is_not_passed_where_the_budget_ends(f):
    arrays = {"x": np.ones((3, 1)), "w": np.full((2, 3), 0.4)}
    arrays["x"][0], arrays["w"][0] = 1e-9, 0.3
    seen = set()
    for budget in range(28, 140):
        report = rg.check(Counted(FORWARDS[f], small_entry_off).pair, arrays, budget=budget)
        assert report.evaluations <= budget
        assert report["w"].verdict is not PASS or report["w"].resolution > 1e-11
        seen.add(report["w"].verdict)
    assert OPEN in seen


def test_one_input_is_decided_at_every_budget():
    square = Counted(lambda x: (x**3, x), lambda d, x: 3 * x**2 * d, inputs={"x": "n"}, name="cube")
    reports = [rg.check(square.pair, rg.Case(n=3, seed=1), budget=budget) for budget in range(28, 60)]
    assert {report.verdict for report in reports} == {PASS}
    assert {report.method.split(" ")[0] for report in reports} == {"central", "complex"}


def test_a_missing_gradient_is_undecided_where_the_budget_ends():
    half = rg.Pair(
        lambda i: ({"y": np.abs(i["a"]) * 2 + 0 * i["b"]}, i),
        lambda c, i: {"a": 2 * np.sign(i["a"]) * c["y"]},
        inputs={"a": "n", "b": "n"},
    )
    verdicts = {}
    for budget in range(28, 100):
        report = rg.check(half, rg.Case(n=2, seed=1), budget=budget)
        verdicts[budget] = next((gradient.verdict for gradient in report.gradients if gradient.name == "b"), PASS)
    assert verdicts[28] is OPEN
    assert verdicts[99] is PASS


def test_inputs_that_the_budget_does_not_reach_for_are_told():
    report = rg.check(Counted(backward=WRONG["both wrong"]).pair, CASE, budget=200, effort="entries")
    assert report["w"].verdict is OPEN
    assert report["w"].findings[0].message.startswith("w: the budget is spent, after ")


MANY = {f"x{i}": "n" for i in range(40)}


def total(*xs):
    return np.sum([(i + 1) * np.sin(x) for i, x in enumerate(xs)], axis=0), xs


@pytest.mark.parametrize("cast", [lambda x: x, np.real], ids=["safe", "real"])
def test_many_inputs_take_no_more_passes_than_a_few(cast):
    right = Counted(
        lambda *xs: (cast(total(*xs)[0]), xs),
        lambda d, xs: tuple((i + 1) * np.cos(x) * d for i, x in enumerate(xs)),
        inputs=MANY,
    )
    report = rg.check(right.pair, rg.Case(n=5, seed=3))
    assert report.verdict is PASS
    assert report.evaluations <= 70
    assert max(gradient.resolution for gradient in report.gradients) < 1e-6


@pytest.mark.parametrize("cast", [lambda x: x, np.real], ids=["safe", "real"])
@pytest.mark.parametrize("which", [0, 17, 39])
def test_the_wrong_one_of_many_inputs_is_named(cast, which):
    wrong = Counted(
        lambda *xs: (cast(total(*xs)[0]), xs),
        lambda d, xs: tuple((i + 1) * np.cos(x) * d * (1 + 1e-6 * (i == which)) for i, x in enumerate(xs)),
        inputs=MANY,
    )
    report = rg.check(wrong.pair, rg.Case(n=5, seed=3))
    assert {gradient.name for gradient in report.gradients if gradient.verdict is FAIL} == {f"x{which}"}
    assert {gradient.verdict for gradient in report.gradients if gradient.name != f"x{which}"} == {PASS}


def test_a_broken_gradient_among_many_does_not_stand_in_the_way_of_the_others():
    broken = Counted(
        lambda *xs: (np.real(total(*xs)[0]), xs),
        lambda d, xs: tuple(None if i == 7 else (i + 1) * np.cos(x) * d for i, x in enumerate(xs)),
        inputs=MANY,
    )
    report = rg.check(broken.pair, rg.Case(n=5, seed=3))
    assert {gradient.name for gradient in report.gradients if gradient.verdict is FAIL} == {"x7"}
    assert sum(gradient.verdict is PASS for gradient in report.gradients) == 39


@pytest.mark.parametrize("seed", range(8))
def test_the_cost_of_a_check_is_known_before_it_is_made(seed):
    case = rg.Case(m=3, N=2, n=4, k=3, seed=seed)
    assert rg.check(rnn_cell, case).evaluations <= rg.forward_passes(rnn_cell, case) == 149
    for f in FORWARDS.values():
        counted = Counted(f)
        case = rg.Case(n=3, N=2, m=4, seed=seed)
        expected = rg.forward_passes(counted.pair, case)
        assert counted.calls == 0
        assert rg.check(counted.pair, case).evaluations <= expected
        entries = rg.forward_passes(counted.pair, case, effort="entries")
        assert rg.check(counted.pair, case, effort="entries").evaluations <= entries
        assert entries > expected


@pytest.mark.parametrize("effort", ["auto", "entries"])
def test_a_budget_that_is_too_small_is_told_with_one_that_is_enough(effort):
    counted = Counted()
    enough = rg.forward_passes(counted.pair, CASE, effort=effort)
    small = rg.check(Counted(backward=WRONG["both wrong"]).pair, CASE, budget=40, effort=effort)
    said = f"the budget of 40 forward passes is spent; {enough} are enough where forward is smooth and every gradient "
    assert [note for note in small.notes if "budget" in note] == [
        said + "right, and what is wrong is told by several times that"
    ]
    right = rg.check(counted.pair, CASE, budget=enough, effort=effort)
    assert (right.verdict, [note for note in right.notes if "budget" in note]) == (PASS, [])


def test_what_surrounds_the_numbers_is_paid_from_the_budget_too():
    def jvp(dx, dw, cache):
        x, w = cache
        return (1 - np.tanh(w @ x) ** 2) * (dw @ x + w @ dx)

    arrays = {"x": np.ones((3, 2), np.float32) * 0.3, "w": np.ones((4, 3), np.float32) * 0.2}
    counted = Counted(jvp=jvp)
    assert rg.forward_passes(counted.pair, arrays) - rg.forward_passes(Counted().pair, CASE) == 4 + 2
    with pytest.raises(rg.InvalidPair, match=r"^budget=32; a check of layer takes at least 33 forward passes$"):
        rg.check(counted.pair, arrays, budget=32)
    assert counted.calls == 0
    report = rg.check(counted.pair, arrays, budget=40)
    assert counted.calls == report.evaluations <= 40
    assert report.verdict is PASS


@pytest.mark.parametrize("budget", [True, 3.5, "many"])
def test_a_budget_is_a_number_of_forward_passes(budget):
    with pytest.raises(rg.InvalidPair, match=r"expected a number of forward passes"):
        rg.check(Counted().pair, CASE, budget=budget)


def test_the_cost_counts_complex_entries_twice_and_inputs_that_are_not_differentiated_not_at_all():
    pair = rg.pair(lambda z, k: (z * k, k), lambda d, k: (d * k,), inputs={"z": "n", "k": "n"}, wrt=("z",))
    arrays = {"z": np.ones(3) * 1j, "k": np.arange(3)}
    real_ones = arrays | {"z": np.ones(3)}
    cost = rg.forward_passes(pair, arrays, effort="entries") - rg.forward_passes(pair, real_ones, effort="entries")
    assert cost == 3 * 14


def stopping(after, error):
    """Return a pair with a wrong gradient in w, whose forward raises an error after so many calls."""
    calls = []

    def stops(x, w):
        calls.append(1)
        if len(calls) == after:
            raise error
        return forward(x, w)

    return rg.pair(stops, WRONG["w wrong"], inputs={"x": "n N", "w": "m n"}, name="layer")


def test_an_interrupt_carries_the_report_of_what_was_decided():
    with pytest.raises(KeyboardInterrupt) as caught:
        rg.check(stopping(150, KeyboardInterrupt()), CASE)
    (note,) = caught.value.__notes__
    head, lead, *_ = note.splitlines()
    assert head == "interrupted; decided until then:"
    assert lead == "w: interrupted before this was decided"
    assert "\nx         pass " in note
    assert "150 forward passes, interrupted" in note


def test_an_interrupt_before_anything_is_known_has_nothing_to_report():
    with pytest.raises(KeyboardInterrupt) as caught:
        rg.check(stopping(1, KeyboardInterrupt()), CASE)
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("after", [1, 5, 60])
def test_a_lack_of_memory_is_told_as_what_it_is(after):
    words = r"^layer needs more memory than there is, at Case\(n=7, .*\): 8 TiB asked for\n    a check holds"
    with pytest.raises(rg.InvalidPair, match=words):
        rg.check(stopping(after, MemoryError("8 TiB asked for")), CASE)


def test_arrays_that_do_not_fit_into_memory_are_told_too():
    pair = rg.pair(lambda x: (np.outer(x, np.ones(2**50)), x), lambda d, x: x, inputs={"x": "n"})
    with pytest.raises(rg.InvalidPair, match=r"needs more memory than there is, at the given arrays: .* allocate"):
        rg.check(pair, {"x": np.ones(3)})


def test_a_lack_of_memory_in_a_closer_look_is_told_too():
    def short(d, cache):
        if d.dtype == np.longdouble:
            raise MemoryError("no room for that")
        return WRONG["w wrong"](d, cache)

    with pytest.raises(rg.InvalidPair, match=r"layer needs more memory than there is, .* no room for that"):
        rg.check(Counted(backward=short).pair, CASE)
