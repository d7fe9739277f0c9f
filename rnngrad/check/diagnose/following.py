"""Errors that follow from those of other gradients: what is wrong in a block at the preactivation is wrong below it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rnngrad.check.diagnose.conditions import right_at
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.words import listed

__all__ = ["following"]


def following(stage: Stage, names: Sequence[str], guesses: Mapping[str, Guess]) -> Iterator[Guess]:
    """Guess that errors come through those blocks of a weight alone in which other gradients are wrong."""
    scene, left = stage.scene, list(names)
    for cause, view in stage.views.items():
        for axis, blocks in enumerate(view.blocks):
            size = view.true.shape[axis]
            if cause not in guesses or blocks < 2 or size % blocks or not left:
                continue
            bad = np.moveaxis(view.wrong, axis, 0).reshape(blocks, -1).any(axis=1)
            if bad.all():
                continue
            for name in scene.point.parts:
                if scene.inputs[name].shape[axis : axis + 1] != (size,):
                    continue
                weight = scene.inputs[name].copy()
                np.moveaxis(weight, axis, 0).reshape(blocks, size // blocks, -1)[bad] = 0.0
                numbers = listed([str(block) for block in np.flatnonzero(bad)])
                where = f"block{'s' if bad.sum() > 1 else ''} {numbers} of {name} {'are' if bad.sum() > 1 else 'is'}"
                for follower in right_at(scene, scene.inputs | {name: weight}, left):
                    left.remove(follower)
                    words = (
                        f"an error that follows from that of {view.key}: it is right while {where} zero, and "
                        f"{view.key} is consistent with {guesses[cause].words}"
                    )
                    yield Guess(follower, "following", words, None, f"it follows from {view.key}")
