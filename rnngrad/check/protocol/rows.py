"""Everything that the contract asks, in one table, and the plan of the calls.

Few calls serve many rules. v are the given cotangents, w a one-hot one, x the inputs, y inputs close by:

    call                              what it serves
    F(x), B(v)                        the first pass, whose numbers are judged: untouched, aliased, in its dtype
    B(w), B((v + w) / 2^24), B(v)     on the first cache: reuse, buffers, the same bits, sums add
    F(x), F(y), B(v), B(v)            forward's bits and buffers, interleaved calls, nothing remembered
    F(x), B(0), B(-2^24 v)            in other layouts, read-only, after a call with other inputs: the same,
                                      zero gives zero, multiples scale
    F(x), B, F(x), B                  for each optional cotangent, where one is declared: zeros, None
    F, B on two or three parts        where a batch is declared

That is 3 forward and 7 backward calls more than without the contract, with a batch and an optional cotangent at most 8
and 12. What looks broken is looked at with more calls before anybody is accused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rnngrad.check.protocol.again import again
from rnngrad.check.protocol.alias import aliased
from rnngrad.check.protocol.batch import batched
from rnngrad.check.protocol.first import First, untouched
from rnngrad.check.protocol.interleaved import interleaved
from rnngrad.check.protocol.layout import CHANCE, PAST, at_once
from rnngrad.check.protocol.optional import left_out
from rnngrad.check.protocol.precision import in_another_dtype
from rnngrad.check.protocol.subject import Subject
from rnngrad.pair import Pair
from rnngrad.result import Finding

__all__ = ["ROWS", "Contract", "contract_of", "passes_of"]

__tracebackhide__ = True

Row = Callable[[Subject, First, set[str]], Iterator[Finding]]

WRITES = {"inputs", "outputs", "cache"}  # after these a cache is not what it was
CHANGES = {"inputs", "cotangent"}  # these need arrays that can be written to


def unless(kinds: set[str], row: Row) -> Row:
    """Return a row that asks nothing where a breach of one of some kinds was found before it, of which all follows."""

    def asked(subject: Subject, first: First, found: set[str]) -> Iterator[Finding]:
        return iter(()) if kinds & found else row(subject, first, found)

    return asked


def forgotten(first: First) -> Iterator[Finding]:
    """Let go of the first pass: all that is asked of it has been."""
    first.forget()
    return iter(())


ROWS: Mapping[str, Row] = {
    "untouched": lambda s, first, _: untouched(first, s.inputs, s.outputs, s.upstream),
    "aliased": lambda s, first, _: aliased(s, first),
    "dtype": lambda s, first, _: in_another_dtype(s, first.raw),
    "again": unless(WRITES, lambda s, first, _: again(s, first)),
    "forgotten": lambda _, first, __: forgotten(first),
    "interleaved": unless(CHANCE | PAST, lambda s, first, _: interleaved(s, first)),
    "at_once": unless(CHANCE | PAST, lambda s, _, found: at_once(s, spoiled=bool(CHANGES & found))),
    "optional": unless(CHANCE | PAST, lambda s, *_: left_out(s)),
    "batch": unless(CHANCE | PAST, lambda s, *_: batched(s)),
}


def passes_of(pair: Pair) -> int:
    """Return how many forward passes the contract takes at most where nothing looks broken: see the plan above."""
    return 3 + 2 * len(pair.optional) + (3 if pair.batch else 0)


@dataclass(frozen=True)
class Contract:
    """What was found of the contract, remarks on what could not be asked, and the forward passes that it took."""

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    passes: int = 0


def contract_of(subject: Subject, first: First) -> Contract:
    """Ask every row of the table; what a pair waives is a remark."""
    found: list[Finding] = []
    with np.errstate(all="ignore"):  # of numbers that nobody asked for no warning is due
        for row in ROWS.values():
            known = {(one.kind, one.gradient) for one in found}
            more = row(subject, first, {one.kind for one in found})
            found += [one for one in more if (one.kind, one.gradient) not in known]
    notes = [f"{where} cannot be copied, so whether backward changes it was not looked at" for where in first.kept.lost]
    waived = subject.pair.waive
    notes += [f"waived, {waived[one.kind]}: {one.message}" for one in found if one.kind in waived]
    kept = tuple(finding for finding in found if finding.kind not in waived)
    return Contract(kept, tuple(notes), subject.calls["forward"])
