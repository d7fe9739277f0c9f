"""What the contract found, beside the numbers: each finding at its gradient, the others at the report."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.protocol.precision import in_single
from rnngrad.result import Finding, GradientResult, Verdict

__all__ = ["NO_NUMBERS", "beside", "lead_of", "reported"]

NO_NUMBERS = {"random", "state"}  # where nothing was computed twice alike, numbers say nothing


def reported(findings: Sequence[Finding], gradients: Sequence[GradientResult]) -> list[Finding]:
    """Return the findings that stand beside the numbers.

    What backward remembers of an earlier call shows close by, and is told from a wrong formula only where all is right
    here. It also stays the same for any cotangent, which is then no finding of its own.
    """
    remembered = any(finding.kind == "remembered" for finding in findings)
    right = all(gradient.verdict is Verdict.PASS for gradient in gradients)
    dropped = {"linear"} if remembered and right else {"remembered"}
    return [finding for finding in findings if finding.kind not in dropped]


def beside(
    gradient: GradientResult, claimed: NDArray[np.inexact] | None, findings: Sequence[Finding]
) -> GradientResult:
    """Return the result for a gradient with what the contract found of it, and with its verdict the worst of all."""
    found = [finding for finding in findings if finding.gradient == gradient.name]
    if gradient.verdict is Verdict.FAIL and claimed is not None and not found:
        single = in_single(gradient.name, claimed)
        found = [] if single is None else [single]
    if not found:
        return gradient
    return replace(gradient, verdict=Verdict.FAIL, findings=(*gradient.findings, *found))


def lead_of(
    numbers: Sequence[GradientResult], gradients: Sequence[GradientResult], findings: Sequence[Finding]
) -> str | None:
    """Return the gradient that the headline is about; None where it is what concerns no single one.

    A wrong number leads, unless it is but noise or what earlier calls left.
    """
    failed = [gradient.name for gradient in numbers if gradient.verdict is Verdict.FAIL]
    if failed and not any(finding.kind in NO_NUMBERS for finding in findings):
        return failed[0]
    if findings or not gradients:
        return None
    return max(gradients, key=lambda gradient: list(Verdict).index(gradient.verdict)).name
