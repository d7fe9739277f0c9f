"""Names for factors: -1, 2, a dim, its inverse, its root, products of two dims, a scale among the inputs."""

from collections.abc import Iterator
from itertools import combinations
from math import sqrt

from rnngrad.check.diagnose.scene import Scene
from rnngrad.spec import dim_names

__all__ = ["named_factors"]

PLAIN = {"2": 2.0, "1/2": 0.5, "3": 3.0, "1/3": 1 / 3, "4": 4.0, "1/4": 0.25}


def named_factors(scene: Scene) -> Iterator[tuple[str, float, str]]:
    """Yield the name of each factor other than 1, its value, and what it may mean; the simplest first."""
    yield "minus", -1.0, ""
    dims = {name: size for name, size in (scene.dims or undeclared(scene)).items() if size > 1}
    found: list[tuple[str, float, str]] = []
    for name, size in dims.items():
        found.append((f"1/{name} of", 1 / size, f": averaged over {name} where the loss sums, or divided by it twice?"))
        found.append((f"{name} times", float(size), f": summed over {name} where the loss averages?"))
    found += [(f"{name} of" if "/" in name else f"{name} times", value, "") for name, value in PLAIN.items()]
    for (a, m), (b, n) in combinations(scene.dims.items(), 2):
        found.append((f"1/({a}*{b}) of", 1 / max(m * n, 1), f": averaged over {a} and {b} where the loss sums?"))
        found.append((f"{a}*{b} times", float(m * n), f": summed over {a} and {b} where the loss averages?"))
        found += [(f"{a}/{b} of", m / max(n, 1), ""), (f"{b}/{a} of", n / max(m, 1), "")]
    for name, size in dims.items():
        found.append((f"1/sqrt({name}) of", 1 / sqrt(size), f": divided by sqrt({name})?"))
        found.append((f"sqrt({name}) times", sqrt(size), f": not divided by sqrt({name})?"))
        found.append((f"1/{name}² of", 1 / size**2, f": averaged over {name} twice?"))
        found.append((f"({name}-1)/{name} of", (size - 1) / size, f": {name}-1 where {name} belongs, or the reverse?"))
        found.append((f"{name}/({name}-1) of", size / (size - 1), f": {name}-1 where {name} belongs, or the reverse?"))
    for name, array in scene.inputs.items():
        if is_scalar(scene, name) and array.dtype.kind == "f" and array.any():
            scale = float(array.item())
            found += [(f"{name} times", scale, ""), (f"1/{name} of", 1 / scale, "")]
    for sign in (1, -1):
        for name, value, hint in found:
            if value not in (0.0, 1.0):
                yield (name if sign > 0 else f"minus {name}"), sign * value, hint


def is_scalar(scene: Scene, name: str) -> bool:
    """Tell whether an input is one number in every case."""
    shape = scene.pair.shapes.get(name)
    return scene.inputs[name].size == 1 and (shape is None or not dim_names([shape]))


def undeclared(scene: Scene) -> dict[str, int]:
    """Name the sizes of inputs whose shapes are not declared, each by the first axis that has it."""
    sizes: dict[int, str] = {}
    for name, array in scene.inputs.items():
        for axis, size in enumerate(array.shape):
            sizes.setdefault(size, f"{name}.shape[{axis}]")
    return {name: size for size, name in sizes.items()}
