"""Semiring products by NumPy's own arithmetic, for tests: slow, and independent of nitrix."""

import numpy as np

STRICT = ("real", "tropical_max_plus", "tropical_min_plus")


def semiring_matmul(A: np.ndarray, B: np.ndarray, semiring: str) -> np.ndarray:
    """float64 for REAL; exact in the inputs' dtype for the tropical algebras, whose only rounding is one addition."""
    if semiring == "real":
        return np.matmul(A.astype(np.float64), B.astype(np.float64))
    sums = A[..., :, :, None] + B[..., None, :, :]
    if semiring == "tropical_max_plus":
        return np.max(sums, axis=-2, initial=-np.inf)
    return np.min(sums, axis=-2, initial=np.inf)


def assert_product(C: np.ndarray, A: np.ndarray, B: np.ndarray, semiring: str) -> None:
    """C is the product of A and B: bit for bit where the algebra allows one answer only, else within rounding."""
    expected = semiring_matmul(A, B, semiring)
    assert C.shape == expected.shape
    assert C.dtype == A.dtype
    if semiring != "real":
        np.testing.assert_array_equal(C, expected)
        return
    k = A.shape[-1]
    magnitude = np.matmul(np.abs(A).astype(np.float64), np.abs(B).astype(np.float64))
    # Every order of k fused or unfused steps stays within this; the second term is underflow.
    bound = 2 * (k + 1) * np.finfo(A.dtype).eps * magnitude + k * np.finfo(A.dtype).smallest_subnormal
    assert np.all(np.abs(C - expected) <= bound)
