"""The k smallest entries of each row of a product, by NumPy's stable sort, which puts NaN last.

TROPICAL_MIN_PLUS: the product of golden.references.semiring. EUCLIDEAN: small integers, whose squares and sums are
exact, and IEEE's square root. So both are exact.
"""

from collections.abc import Iterator

import numpy as np

from golden.references import Arrays, Reference, semiring

FLOATS = ("float32", "float64")
# m, d, n, k: one block and several, lists that fill up and that do not, fewer columns than k
SHAPES = ((1, 1, 1, 1), (5, 3, 9, 4), (3, 7, 70, 5), (4, 2, 300, 7), (2, 3, 1100, 11), (3, 2, 600, 200), (3, 4, 5, 8))


def _product(algebra: str, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    if algebra == "tropical_min_plus":
        return semiring.compute(algebra, {"A": A, "B": B})[0]["C"].astype(A.dtype)
    with np.errstate(all="ignore"):
        return np.sqrt(((A[..., :, :, None] - B[..., None, :, :]) ** 2).sum(-2))


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """Values and columns."""
    k, product = int(inputs["k"]), _product(algebra, inputs["A"], inputs["B"])
    identity = np.inf if algebra == "tropical_min_plus" else 0
    order = np.argsort(product, axis=-1, kind="stable")[..., :k]
    rest = [(0, 0)] * (product.ndim - 1) + [(0, k - order.shape[-1])]
    values = np.pad(np.take_along_axis(product, order, -1), rest, constant_values=identity)
    return {"values": values, "indices": np.pad(order.astype(np.int32), rest, constant_values=-1)}, {}


def cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """The named inputs of a cell."""
    draw = semiring.Draw(algebra, dtype, "nearest")

    def case(A: np.ndarray, B: np.ndarray, k: int) -> Arrays:
        return {"A": A, "B": B, "k": np.array(k)}

    def elements(*shape: int) -> np.ndarray:
        return draw.integers(-60, 60, *shape) if algebra == "euclidean" else draw.uniform(*shape)

    for m, d, n, k in SHAPES:
        yield f"plain_{m}x{d}x{n}_{k}", case(elements(m, d), elements(d, n), k)
    yield "ties", case(draw.integers(-1, 1, 4, 2), draw.integers(-1, 1, 2, 400), 30)
    yield "batch", case(elements(2, 1, 3, 4), elements(5, 4, 20), 3)
    yield "no_columns", case(elements(3, 2), elements(2, 0), 2)
    yield "no_rows", case(elements(0, 2), elements(2, 4), 2)
    yield "no_depth", case(elements(3, 0), elements(0, 4), 2)
    yield "zeros", case(draw.choice([0.0, -0.0], 3, 1), draw.choice([0.0, -0.0], 1, 90), 12)
    A, B = elements(4, 3), draw.where(0.2, np.inf, draw.where(0.4, np.nan, elements(3, 200)))
    A[1, 0], B[0, 7] = -np.inf, -np.inf
    yield "specials", case(A, B, 60)
    A = A.copy()
    A[2, 2] = np.nan
    yield "specials_all_nan_row", case(A, B[:, :40], 60)


REFERENCES = {"semiring_nearest": Reference(dict.fromkeys(("euclidean", "tropical_min_plus"), FLOATS), cases, compute)}
