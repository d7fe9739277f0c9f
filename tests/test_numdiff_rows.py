import numpy as np

import rnngrad as rg
from rnngrad.numdiff.rows import mapped, substituted

ROWS = ("value", "bar", "jump", "kink", "step")


def numbered(start, count, evaluations):
    return rg.Estimate(*(np.arange(float(count)) + start + i for i in range(5)), evaluations)


def test_a_change_is_made_to_every_row_and_the_evaluations_add_up():
    joined = mapped(lambda *rows: np.concatenate(rows)[1:5], numbered(0, 3, 5), numbered(0, 3, 5))
    assert joined.value.tolist() == [1, 2, 0, 1]
    assert joined.kink.tolist() == [4, 5, 3, 4]
    assert joined.step.tolist() == [5, 6, 4, 5]
    assert joined.evaluations == 10


def test_some_entries_are_replaced_in_their_order_and_the_originals_stay():
    whole = numbered(0, 4, 7)
    mixed = substituted(whole, np.array([3, 1]), numbered(100, 2, 5))
    for i, name in enumerate(ROWS):
        assert getattr(mixed, name).tolist() == [0 + i, 101 + i, 2 + i, 100 + i]
        assert getattr(whole, name).tolist() == [0 + i, 1 + i, 2 + i, 3 + i]
    assert mixed.evaluations == 12
