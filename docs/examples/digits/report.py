"""What the demo prints of a step: which variants served it, its time beside the peer's, whether the answers agree."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

import nitrix
from nitrix.semiring import semiring_matmul


class Step:
    def __init__(self, title: str) -> None:
        self.seconds = 0.0
        self.passed = True
        self.served: Counter[str] = Counter()
        print(f"\n{title}", flush=True)

    def matmul(self, a: np.ndarray, b: np.ndarray, semiring: object) -> np.ndarray:
        """A product by nitrix, and a note of the variant that served it."""
        product = semiring_matmul(a, b, semiring=semiring)
        self.served[nitrix.last_variant()] += 1
        return product

    @contextmanager
    def ours(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - started
        for variant, calls in self.served.items():
            line("served by", f"{variant}, {calls} calls" if calls > 1 else variant)

    @contextmanager
    def peer(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.compare(name, time.perf_counter() - started)

    def compare(self, name: str, seconds: float) -> None:
        line("time", f"{self.seconds:.3f} s; {name} {seconds:.3f} s")

    def say(self, text: str) -> None:
        line("answer", text)

    def check(self, what: str, error: float, tolerance: float) -> None:
        """Passes if error <= tolerance; a NaN does not."""
        good = bool(error <= tolerance)
        self.passed &= good
        line("check", f"{what}: {error:.2g} (at most {tolerance:.2g}) {'ok' if good else 'FAILED'}")


def line(label: str, text: str) -> None:
    print(f"    {label:<10} {text}", flush=True)


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    """The largest |got - want| / |want|; equal entries, infinities and zeros included, count as 0."""
    got, want = np.broadcast_arrays(np.asarray(got, np.float64), np.asarray(want, np.float64))
    different = ~(got == want)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.abs(got[different] - want[different]) / np.abs(want[different])
    return float(errors.max(initial=0.0)) if not np.isnan(errors).any() else float("nan")
