import numpy as np
import pytest

from rnngrad.numdiff.scale import SAMPLE, Scale, length_scale, scale_of, typical


@pytest.mark.parametrize(
    ("theta", "scale"),
    [
        ([3.0, -1.0, 2.0], [3.0, 2.0, 2.0]),
        ([1e-8, 1.0, 5.0], [1.0, 1.0, 5.0]),
        ([0.0, 0.0, 0.0, 8.0], [4.0, 4.0, 4.0, 8.0]),  # the median is 0, the root mean square 4
        ([0.0, 0.0], [1.0, 1.0]),
        ([-0.25], [0.25]),
        ([], []),
        ([3e-300, -1e-300, 2e-300], [3e-300, 2e-300, 2e-300]),
        ([0.0, 0.0, 0.0, 8e200], [4e200, 4e200, 4e200, 8e200]),  # BUG: the square overflows
    ],
)
def test_the_length_scale_is_the_entry_or_what_is_typical_of_its_tensor(theta, scale):
    assert length_scale(np.array(theta)).tolist() == scale


def test_the_point_keeps_its_values():
    theta = np.array([-3.0, 0.0, 2.0])
    length_scale(theta)
    assert theta.tolist() == [-3.0, 0.0, 2.0]


@pytest.mark.parametrize(("size", "median"), [([], 0.0), ([4.0], 4.0), ([1.0, 9.0, 4.0], 4.0), ([1.0, 3.0], 2.0)])
def test_typical_is_the_median(size, median):
    assert typical(np.array(size)) == median


@pytest.mark.parametrize("count", [SAMPLE - 1, SAMPLE, SAMPLE + 1, 5 * SAMPLE + 7])
def test_of_many_numbers_an_even_sample_tells_what_is_typical(count):
    size = np.random.default_rng(count).exponential(size=count)
    assert typical(size) == pytest.approx(np.median(size), rel=0.1)


def joined(sizes):
    rng = np.random.default_rng(0)
    tensors = [10.0**k * rng.standard_normal(size) for k, size in enumerate(sizes)]
    expected = np.concatenate([length_scale(tensor) for tensor in tensors])
    return np.concatenate(tensors), expected


@pytest.mark.parametrize("sizes", [(3, 4, 5), (0, 7), (7, 0), (2, 0, 0, 6, 0), (1,), (0,), (1, 1, 1)])
def test_scales_of_joined_tensors_are_those_of_each(sizes, monkeypatch):
    theta, expected = joined(sizes)
    np.testing.assert_array_equal(scale_of(theta, sizes), expected)
    monkeypatch.setattr("rnngrad.numdiff.scale.KEPT", -1)
    lazy = scale_of(theta, sizes)
    assert isinstance(lazy, Scale)
    assert len(lazy) == len(theta)
    for start in range(len(theta) + 1):
        for stop in range(start, len(theta) + 1):
            np.testing.assert_array_equal(lazy[start:stop], expected[start:stop])
            part = lazy.part(slice(start, stop))
            np.testing.assert_array_equal(part[0 : stop - start], expected[start:stop])
            some = np.arange(stop - start)[::-2]
            np.testing.assert_array_equal(part[some], expected[start:stop][some])
