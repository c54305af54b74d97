"""Random inputs of benchmarks."""

import numpy as np


def values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...], depth: int) -> np.ndarray:
    """Normal values; of truth values so many that a product of `depth` terms is true half of the time."""
    if dtype == "bool":
        # Half of the products true: neither all zero nor decided by the first word.
        return rng.random(shape) < (np.log(2) / depth) ** 0.5
    return rng.standard_normal(shape).astype(dtype)
