"""The kinds of breach: what the contract around a backward pass asks, by the short name that a finding carries."""

__all__ = ["BREACHES", "WAIVABLE"]

BREACHES = {
    "inputs": "forward and backward leave their inputs as they were",
    "cotangent": "backward leaves its cotangents as they were",
    "outputs": "backward leaves what forward returned as it was",
    "cache": "backward leaves the cache as it was",
    "shape": "a gradient has the shape of its input",
    "type": "a gradient is an array of floating-point numbers",
    "none": "a gradient is not None",
    "dtype": "a gradient has the dtype of its input, in its last bits too",
    "alias": "a gradient shares no memory with the inputs, the outputs, the cache or another gradient",
    "buffer": "what a call returned stays as it was when it is called again",
    "random": "the same call gives the same bits",
    "reuse": "a cache serves for a second backward pass, with another cotangent too",
    "interleaved": "two forward passes before their backward passes do not disturb each other",
    "state": "earlier calls do not change a result",
    "remembered": "backward goes by its inputs, not by what its first call saw",
    "linear": "a gradient is linear in the cotangent",
    "layout": "Fortran-ordered, strided and read-only arrays give the same gradients",
    "optional": "None in the place of an optional cotangent means zeros",
    "batch": "a batch is the stack, the sum or the mean of its examples",
}

# What a pair may leave out: all but what no number could be compared without.
WAIVABLE = [kind for kind in BREACHES if kind not in ("shape", "type", "none")]
