"""Complex inputs and outputs, in the convention dL/dRe + i dL/dIm: a step against the gradient descends."""

import numpy as np
import pytest

import rnngrad as rg

PASS, FAIL = rg.Verdict.PASS, rg.Verdict.FAIL


def drawn(*shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def affine_forward(w, z):
    return w @ z, (w, z)


def affine_backward(dout, cache):
    w, z = cache
    return dout @ z.conj().T, w.conj().T @ dout


def affine(backward=affine_backward):
    return rg.pair(affine_forward, backward, inputs={"w": "m n", "z": "n N"})


def arrays(seed=0, dtype=np.complex128):
    return {"w": drawn(3, 4, seed=seed).astype(dtype), "z": drawn(4, 2, seed=seed).astype(dtype)}


SINGLE = {  # forward of one complex array, and its gradient under a cotangent
    "square": (lambda z: z * z, lambda d, z: d * 2 * z.conj()),
    "conjugate": (np.conj, lambda d, z: d.conj()),
    "exp": (np.exp, lambda d, z: d * np.exp(z).conj()),
    "abs": (np.abs, lambda d, z: d * z / np.abs(z)),
    "energy": (lambda z: (z * z.conj()).real, lambda d, z: 2 * d * z),
    "real part": (lambda z: z.real.copy(), lambda d, z: d + 0j),
    "real part, real gradient": (lambda z: z.real.copy(), lambda d, z: d),
    "imaginary part": (lambda z: z.imag.copy(), lambda d, z: 1j * d),
    "phase": (np.angle, lambda d, z: d * 1j * z / np.abs(z) ** 2),
    "mixed": (lambda z: z * np.abs(z), lambda d, z: d * np.abs(z) + (d.conj() * z).real * z / np.abs(z)),
}


@pytest.mark.parametrize("effort", ["auto", "entries"])
@pytest.mark.parametrize("name", SINGLE)
def test_right_gradients_of_complex_functions_pass(name, effort):
    f, df = SINGLE[name]
    pair = rg.pair(lambda z: (f(z), z), df, inputs={"z": "n"})
    for seed in range(5):
        report = rg.check(pair, {"z": drawn(6, seed=seed)}, effort=effort)
        assert report.verdict is PASS
        assert report["z"].resolution < 1e-7


def test_the_gradient_is_that_of_real_and_imaginary_part_by_hand():
    pair = rg.pair(
        lambda z: (np.sum(z.real**3 + 5 * z.imag), z), lambda d, z: d * (3 * z.real**2 + 5j), inputs={"z": "n"}
    )
    assert rg.check(pair, {"z": np.array([1 + 2j, -3 + 0.5j])}).verdict is PASS


@pytest.mark.parametrize("name", [name for name in SINGLE if "real" not in name and name != "conjugate"])
def test_the_conjugate_of_the_gradient_is_wrong(name):
    f, df = SINGLE[name]
    pair = rg.pair(lambda z: (f(z), z), lambda d, z: df(d, z).conj(), inputs={"z": "n"})
    assert rg.check(pair, {"z": drawn(6)}).verdict is FAIL


def test_matrix_products_pass_and_a_missing_conjugate_is_found_in_its_input():
    assert rg.check(affine(), arrays()).verdict is PASS
    report = rg.check(affine(lambda d, c: (d @ c[1].T, c[0].conj().T @ d)), arrays())
    assert [gradient.verdict for gradient in report.gradients] == [FAIL, PASS]
    assert (report["w"].wrong, report["w"].examined) == (12, 12)


@pytest.mark.parametrize("shape", [(3, 4), (20, 30)])
@pytest.mark.parametrize(("error", "part"), [(1e-6, ".real"), (1e-6j, ".imag")])
def test_one_wrong_part_of_one_entry_is_named(shape, error, part):
    def backward(d, z):
        out = d * 2 * z.conj()
        out[2, 1] += error
        return out

    report = rg.check(rg.pair(lambda z: (z * z, z), backward, inputs={"z": "m n"}), {"z": drawn(*shape)})
    assert (report["z"].worst_index, report["z"].worst_part, report["z"].wrong) == ((2, 1), part, 1)
    assert str(report).startswith(f"z[2, 1]{part}: backward ")
    assert report["z"].entries[0].part == part


def test_real_inputs_of_complex_outputs_have_real_gradients():
    def fft(backward):
        return rg.pair(lambda x: (np.fft.fft(x), len(x)), backward, inputs={"x": "n"})

    for seed in range(5):
        assert rg.check(fft(lambda d, n: np.fft.ifft(d).real * n), rg.Case(n=5, seed=seed)).verdict is PASS
    report = rg.check(fft(lambda d, n: np.fft.ifft(d) * n), rg.Case(n=5))
    assert report["x"].findings[0].message == (
        "x: backward returned an array of dtype complex128 for dx, expected real numbers: x is real, so only the real "
        "part counts"
    )


def test_real_and_complex_inputs_go_together():
    def backward(d, cache):
        w, z = cache
        return (d @ z.conj().T).real, w.T @ d

    given = arrays()
    given["w"] = given["w"].real
    assert rg.check(affine(backward), given).verdict is PASS


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_single_precision_is_checked_in_two_steps(dtype):
    assert rg.check(affine(), arrays(dtype=dtype)).verdict is PASS
    report = rg.check(affine(lambda d, c: tuple(g.astype(np.complex128) for g in affine_backward(d, c))), arrays())
    assert report.verdict is PASS


def test_a_wider_gradient_than_its_input_is_told():
    report = rg.check(
        affine(lambda d, c: tuple(g.astype(np.complex128) for g in affine_backward(d, c))), arrays(dtype=np.complex64)
    )
    assert report["w"].findings[0].message == "w: dw has dtype complex128, expected complex64, the dtype of w"


def test_given_cotangents_are_complex_where_the_outputs_are():
    rg.check(affine(), arrays(), cotangents={"out": drawn(3, 2)})
    rg.check(affine(), arrays(), cotangents={"out": np.ones((3, 2))})
    pair = rg.pair(lambda z: (np.abs(z), z), lambda d, z: d * z / np.abs(z), inputs={"z": "n"})
    with pytest.raises(rg.InvalidPair, match=r"the cotangent of out is an array of dtype complex128, expected .* real"):
        rg.check(pair, {"z": drawn(2)}, cotangents={"out": drawn(2)})


def test_an_output_that_turns_complex_nearby_is_a_note():
    def forward(x):
        return np.emath.sqrt(x), x

    report = rg.check(
        rg.pair(forward, lambda d, x: d / (2 * np.sqrt(x)), inputs={"x": "n"}), {"x": np.array([0.0, 4.0]) + 1e-300}
    )
    assert report.verdict is rg.Verdict.INCONCLUSIVE
    assert "near this point forward raised ValueError: out changes from real to complex numbers" in report.notes


@pytest.mark.parametrize("bad", [np.nan, 1j * np.inf])
def test_inputs_that_are_not_finite_are_refused(bad):
    given = arrays()
    given["z"][1, 1] = bad
    with pytest.raises(rg.InvalidPair, match=r"input z\[1, 1\] of affine is"):
        rg.check(affine(), given)


def test_a_missing_gradient_of_a_complex_input_is_told():
    pair = rg.pair(affine_forward, lambda d, c: {"dz": c[0].conj().T @ d}, inputs={"w": "m n", "z": "n N"})
    with pytest.raises(rg.InvalidPair, match="returned no gradient for w"):
        rg.check(pair, arrays())
