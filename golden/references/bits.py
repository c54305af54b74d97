"""BOOLEAN in words of 32 truth values: packing by NumPy's packbits, products by counting. Exact."""

from collections.abc import Iterator

import numpy as np

from golden.references import Arrays, Reference, semiring


def _packed(x: np.ndarray, axis: int) -> np.ndarray:
    moved = np.moveaxis(x, axis, -1)
    padded = np.pad(moved, [(0, 0)] * (x.ndim - 1) + [(0, -moved.shape[-1] % 32)])
    octets = np.packbits(padded, axis=-1, bitorder="little")
    words = np.ascontiguousarray(octets).view("<u4").reshape(*moved.shape[:-1], padded.shape[-1] // 32)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis))


def _pack(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    return {"words": _packed(inputs["x"], int(inputs["axis"]))}, {}


def _pack_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in semiring.cases("boolean", "bool"):
        if name.startswith(("plain", "blocks", "batch")):
            yield f"{name}_rows", {"x": inputs["A"], "axis": np.array(-1)}
            yield f"{name}_columns", {"x": inputs["B"], "axis": np.array(-2)}


def _unpacked(words: np.ndarray, axis: int) -> np.ndarray:
    bits = np.moveaxis(words, axis, -1)[..., None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)
    return np.moveaxis(bits.reshape(*bits.shape[:-2], 32 * bits.shape[-2]), -1, axis)


def _product(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    a, b = _unpacked(inputs["A"], -1).astype(np.int64), _unpacked(inputs["B"], -2).astype(np.int64)
    return {"C": np.matmul(a, b) > 0}, {}


def _product_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in semiring.cases("boolean", "bool"):
        yield name, {"A": _packed(inputs["A"], -1), "B": _packed(inputs["B"], -2)}


REFERENCES = {
    "semiring_pack_bits": Reference({"boolean": ("bool",)}, _pack_cases, _pack),
    "semiring_matmul_bits": Reference({"boolean": ("uint32",)}, _product_cases, _product),
}
