"""Every pair that ships passes on drawn cases; the list is that of `rnngrad check`."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import rnngrad as rg
from rnngrad import cells
from rnngrad.case import draw_inputs
from rnngrad.spec import dim_names

MODULES = [import_module(f"rnngrad.cells.{path.stem}") for path in sorted(Path(cells.__path__[0]).glob("[a-z]*.py"))]
PAIRS = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, rg.Pair) and value.module == module.__name__
}


def test_each_pair_has_the_name_that_it_is_found_by():
    assert {name: pair.name for name, pair in PAIRS.items()} == {name: name for name in PAIRS}


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_that_ships_passes_on_drawn_cases(name):
    rg.gradient_test(PAIRS[name], settings=settings(max_examples=12, deadline=None))()


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_that_ships_passes_in_single_precision(name):
    pair = PAIRS[name]
    dims = {}
    for position, (dim, is_group) in enumerate(dims_of(pair)):
        dims[dim] = (2,) if is_group else (3, 2, 4, 5)[position % 4]
    arrays = {
        key: value.astype(np.float32) if value.dtype.kind == "f" else value
        for key, value in draw_inputs(pair.shapes, rg.Case(seed=5, **dims)).items()
    }
    report = rg.check(pair, arrays)
    assert {gradient.name: gradient.verdict.name for gradient in report.gradients} == dict.fromkeys(
        pair.wrt or pair.shapes, "PASS"
    )


def dims_of(pair):
    return dim_names(pair.shapes.values()).items()
