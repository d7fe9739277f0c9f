"""What a gradient makes of each cotangent: nothing, the right thing, or the right thing for another cotangent."""

from collections.abc import Iterator
from functools import partial
from itertools import chain, takewhile
from operator import ne

import numpy as np

from rnngrad.check.diagnose.activation import corrections
from rnngrad.check.diagnose.jacobian import softmax_corrections
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import LEFT, View
from rnngrad.check.diagnose.words import listed

__all__ = ["carriers", "corrected", "handed_on", "ignored", "turned"]


def ignored(stage: Stage) -> Iterator[Guess]:
    """Guess that nothing comes from the cotangent of one output, and the right thing from the others."""
    outputs = stage.by_output
    if len(outputs) < 2:
        return
    for name in stage.views:
        views = {output: views[name] for output, views in outputs.items() if name in views}
        wrong = [output for output, view in views.items() if view.wrong.any()]
        for output in wrong:
            if not views[output].claimed.any():
                words = f"nothing coming from the cotangent of {output}: that path is missing"
                if len(wrong) > 1:
                    words += ", and what comes from others is wrong too"
                yield Guess(name, "path", words, 0.0, f"nothing comes from {output}")


def carriers(stage: Stage) -> Iterator[Guess]:
    """Say which cotangents carry the error, where others do not."""
    outputs = stage.by_output
    for name in stage.views:
        views = {output: views[name] for output, views in outputs.items() if name in views}
        wrong = [output for output, view in views.items() if view.wrong.any()]
        right = [output for output in views if output not in wrong and views[output].true[views[output].known].any()]
        if wrong and right:
            words = f"an error that comes with the cotangent of {listed(wrong)} alone: without it the gradient is right"
            yield Guess(name, "cotangent", words, None)


def corrected(stage: Stage) -> Iterator[Guess]:
    """Guess that backward would be right for another cotangent of one output, such as v f'(x) in the place of v."""
    for output, views in stage.by_output.items():
        wrong = {name: view for name, view in views.items() if telling(view)}
        v = stage.scene.upstream[output]
        tried = chain(softmax_corrections(stage.cached, v), corrections(stage.cached, v)) if wrong else ()
        found = [(words, other) for words, other in tried if stage.wants(words) and np.isfinite(other).all()]
        if not found:
            continue
        others = np.stack([other for _, other in found])
        ratios = np.abs(others).reshape(len(found), -1).max(axis=1) / np.abs(v).max()
        of_activation = np.array(["derivative of" in words for words, _ in found])  # that is one for all entries
        claims = stage.claimed_each(output, others)
        for name in (name for name in wrong if name in claims):
            view = wrong[name]
            missed = np.abs(claims[name] - view.true)
            apart = missed[:, view.wrong].max(axis=1)  # what other paths lead to may be right already
            if view.true.shape == v.shape:
                apart = np.where(of_activation, missed[:, view.known].max(axis=1), apart)
            off = LEFT * np.abs(view.claimed - view.true)[view.wrong].max()
            for place in np.flatnonzero((apart <= view.slack * np.fmax(1.0, ratios)) & (apart <= off)):
                words = found[place][0]
                yield Guess(name, "derivative", words, float(apart[place]) / view.size, brief(words))


def turned(stage: Stage) -> Iterator[Guess]:
    """Guess that the Jacobian of an output is applied the wrong way round: J v in the place of J^T v."""
    for output, views in stage.by_output.items():
        v = stage.scene.upstream[output]
        before = takewhile(partial(ne, output), stage.scene.upstream)
        start = sum(stage.scene.upstream[other].size for other in before)
        for name, view in views.items():
            slopes = stage.truth.slopes[name]
            if not len(slopes) == view.true.size == v.size > 1 or not view.wrong.any():
                continue
            left = view.misfit((slopes[:, start : start + v.size].T @ v.ravel()).reshape(view.true.shape))
            if np.isfinite(left):
                words = f"the Jacobian of {output} applied the wrong way round: J v in the place of its transpose"
                yield Guess(name, "turned", words, left, "the Jacobian is not transposed")


def handed_on(stage: Stage) -> Iterator[Guess]:
    """Say what a gradient is where that is a cotangent, as it is or times an array at hand."""
    for name, view in stage.views.items():
        arrays = {called: array for called, array in stage.cached.items() if array.shape == view.true.shape}
        for output, v in stage.scene.upstream.items():
            if v.shape != view.true.shape or v.size < stage.least(2):
                continue
            found = {f"the cotangent of {output} as it is: no derivative is applied": v}
            found |= {
                f"the cotangent of {output} times {called}: another derivative belongs there?": v * a
                for called, a in arrays.items()
            }
            for words, predicted in found.items():
                left = view.misfit(predicted)
                if np.isfinite(left):
                    yield Guess(name, "handed on", words, left, words.partition(":")[0])


def telling(view: View) -> bool:
    """Tell whether a gradient is wrong where it should not be zero: any cotangent of zeros would explain the rest."""
    return bool((np.abs(view.true[view.wrong]) > view.slack).any())


def brief(words: str) -> str:
    """Return the words where they are few enough for a headline."""
    return words.removeprefix("the ")
