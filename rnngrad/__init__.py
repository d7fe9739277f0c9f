"""Prove hand-derived gradients right.

The names of `PUBLIC` are the whole promise to users; each is imported when it is first used.

PYTEST_DONT_REWRITE: the command line has imported this package before pytest starts.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnngrad.adapters.jacobian import jacobian as jacobian
    from rnngrad.adapters.objective import objective as objective
    from rnngrad.case import Case as Case
    from rnngrad.check.assertion import assert_gradients as assert_gradients
    from rnngrad.check.pipeline import check as check
    from rnngrad.check.plan import forward_passes as forward_passes
    from rnngrad.errors import ContractBreach as ContractBreach
    from rnngrad.errors import GradientMismatch as GradientMismatch
    from rnngrad.errors import InvalidBaseline as InvalidBaseline
    from rnngrad.errors import InvalidPair as InvalidPair
    from rnngrad.errors import NotEquivalent as NotEquivalent
    from rnngrad.errors import Undecided as Undecided
    from rnngrad.numdiff.gradient import estimate_gradient as estimate_gradient
    from rnngrad.pair import Pair as Pair
    from rnngrad.pair import pair as pair
    from rnngrad.regress.baseline import compare as compare
    from rnngrad.regress.baseline import record as record
    from rnngrad.regress.equivalence import assert_equivalent as assert_equivalent
    from rnngrad.regress.equivalence import equivalence as equivalence
    from rnngrad.result import Equivalence as Equivalence
    from rnngrad.result import Estimate as Estimate
    from rnngrad.result import Power as Power
    from rnngrad.result import Report as Report
    from rnngrad.result import Verdict as Verdict
    from rnngrad.spec import Array as Array
    from rnngrad.strategies import cases as cases
    from rnngrad.strategies import equivalence_test as equivalence_test
    from rnngrad.strategies import gradient_test as gradient_test
    from rnngrad.strategies import power as power

PUBLIC = {
    "Array": "rnngrad.spec",
    "Case": "rnngrad.case",
    "ContractBreach": "rnngrad.errors",
    "Equivalence": "rnngrad.result",
    "Estimate": "rnngrad.result",
    "GradientMismatch": "rnngrad.errors",
    "InvalidBaseline": "rnngrad.errors",
    "InvalidPair": "rnngrad.errors",
    "NotEquivalent": "rnngrad.errors",
    "Pair": "rnngrad.pair",
    "Report": "rnngrad.result",
    "Undecided": "rnngrad.errors",
    "Verdict": "rnngrad.result",
    "Power": "rnngrad.result",
    "assert_equivalent": "rnngrad.regress.equivalence",
    "assert_gradients": "rnngrad.check.assertion",
    "cases": "rnngrad.strategies",
    "check": "rnngrad.check.pipeline",
    "compare": "rnngrad.regress.baseline",
    "equivalence": "rnngrad.regress.equivalence",
    "equivalence_test": "rnngrad.strategies",
    "estimate_gradient": "rnngrad.numdiff.gradient",
    "forward_passes": "rnngrad.check.plan",
    "gradient_test": "rnngrad.strategies",
    "jacobian": "rnngrad.adapters.jacobian",
    "objective": "rnngrad.adapters.objective",
    "pair": "rnngrad.pair",
    "power": "rnngrad.strategies",
    "record": "rnngrad.regress.baseline",
}

__all__ = sorted(PUBLIC)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'rnngrad' has no attribute {name!r}")
    value = getattr(import_module(PUBLIC[name]), name)
    globals()[name] = value
    return value


class Package(ModuleType):
    """Keep ``rnngrad.pair`` and ``rnngrad.check`` the functions, whatever is imported and when.

    Importing a submodule binds it in its package; for these two names that would hide the function behind the
    module that defines it.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = Package
