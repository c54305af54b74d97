"""Reads the reference arrays of golden/data and the bounds of golden/tolerance.toml; compares an output with them.

Needs NumPy alone, so that every test can use it; what makes the arrays is golden/references.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
DATA = FOLDER / "data"
TOLERANCE = FOLDER / "tolerance.toml"
KINDS = ("exact", "scaled")
BACKENDS = ("naive", "cpu")  # whose bounds must stand in tolerance.toml; others only where a build has them
MANIFEST = FOLDER.parent / "generators" / "manifest.toml"

MAKE = "python golden/make.py"


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One (op, algebra, dtype); the algebra is "" for an op without one. BOOLEAN's bytes are "bool"."""

    op: str
    algebra: str
    dtype: str

    @property
    def file(self) -> str:
        """Where its arrays are in golden/data."""
        return f"{self.op}/{'-'.join(p for p in (self.algebra, self.dtype) if p)}.npz"

    @property
    def path(self) -> Path:
        return DATA / self.file

    def __str__(self) -> str:
        return "/".join(p for p in (self.op, self.algebra, self.dtype) if p)


@dataclasses.dataclass(frozen=True)
class Case:
    """Inputs by argument name, and what an op must return for them, by output name.

    `scales` holds for every output that is compared within a bound the size that the bound is relative to, element by
    element; the reference that made the case says what that is (for REAL the sum of |a||b|).
    """

    name: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    scales: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Bound:
    """exact: the same bits, NaN being one value. scaled: |got - expected| <= factor * eps * scale for every element.

    eps is the distance from 1 to the next number of the output's dtype. A NaN or an infinity must be met exactly.
    """

    kind: str
    factor: float = 0.0


def pack(cases: list[Case]) -> dict[str, np.ndarray]:
    """The arrays of one .npz file."""
    roles = [("in", "inputs"), ("out", "outputs"), ("scale", "scales")]
    return {
        f"{case.name}/{role}/{name}": array
        for case in cases
        for role, field in roles
        for name, array in getattr(case, field).items()
    }


def unpack(arrays: Mapping[str, np.ndarray]) -> list[Case]:
    """The inverse of pack."""
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for key in arrays:
        case, role, name = key.split("/")
        found.setdefault(case, {"in": {}, "out": {}, "scale": {}})[role][name] = arrays[key]
    return [Case(name, roles["in"], roles["out"], roles["scale"]) for name, roles in found.items()]


def load(cell: Cell) -> list[Case]:
    """The cases of a cell, in the order in which they were made."""
    if not cell.path.exists():
        raise FileNotFoundError(how_to_add(cell))
    with np.load(cell.path, allow_pickle=False) as arrays:
        return unpack(arrays)


def cells() -> list[Cell]:
    """The cells that have a file in golden/data."""
    found = []
    for path in sorted(DATA.glob("*/*.npz")):
        *algebra, dtype = path.stem.split("-")
        found.append(Cell(path.parent.name, "".join(algebra), dtype))
    return found


def manifest_cells(manifest: Path = MANIFEST) -> list[Cell]:
    """The cells that generators/manifest.toml asks for."""
    found = []
    for op, entry in tomllib.loads(manifest.read_text())["op"].items():
        if entry.get("internal"):
            continue  # a helper that no caller reaches
        for algebra in entry.get("algebras", [""]):
            truths = {"uint8": "bool", "uint32": "uint32"}
            dtypes = [d for d in entry["dtypes"] if (d in truths) == (algebra == "boolean")]
            found += [Cell(op, algebra, truths.get(d, d)) for d in dtypes]
        storage = entry.get("storage", {"algebras": [], "dtypes": []})
        # NumPy has no bfloat16: tests/python/test_half.py compares it bit by bit.
        found += [Cell(op, a, d) for a in storage["algebras"] for d in storage["dtypes"] if d != "bfloat16"]
    return found


def how_to_add(cell: Cell) -> str:
    """The sentence for a cell that has no reference array."""
    return (
        f"{cell} has no golden: add the cell to the references of {cell.op!r} in golden/references/ (one file per "
        f"family of ops), run `{MAKE}`, add its bounds to golden/tolerance.toml, and commit "
        f"golden/data/{cell.file}"
    )


def bounds(path: Path = TOLERANCE) -> dict[tuple[Cell, str], Bound]:
    """Every bound of tolerance.toml by (cell, backend). Raises ValueError for a senseless entry."""
    found = {}
    for entry in tomllib.loads(path.read_text())["bound"]:
        unknown = set(entry) - {"op", "algebras", "dtypes", "backends", "kind", "factor"}
        if unknown:
            raise ValueError(f"{path.name}: unknown key {sorted(unknown)[0]!r} in {entry}")
        bound = Bound(entry["kind"], float(entry.get("factor", 0)))
        if bound.kind not in KINDS:
            raise ValueError(f"{path.name}: kind is {bound.kind!r}, must be one of {', '.join(KINDS)}")
        if (bound.kind == "scaled") != (bound.factor > 0):
            raise ValueError(f"{path.name}: a scaled bound has a positive factor, an exact one has none: {entry}")
        for key in (
            (Cell(entry["op"], algebra, dtype), backend)
            for algebra in entry.get("algebras", [""])
            for dtype in entry["dtypes"]
            for backend in entry["backends"]
        ):
            if key in found:
                raise ValueError(f"{path.name}: two bounds for {key[0]} on {key[1]}")
            found[key] = bound
    return found


def same_bits(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Element by element; every NaN is the same value, +0 and -0 are not."""
    if got.dtype.kind != "f":
        return got == expected
    bits = f"u{got.dtype.itemsize}"
    equal = np.ascontiguousarray(got).view(bits) == np.ascontiguousarray(expected).view(bits)
    return equal | (np.isnan(got) & np.isnan(expected))


def errors(got: np.ndarray, expected: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """|got - expected| in units of eps * scale; infinite where only one is finite or infinities differ."""
    eps = float(np.finfo(got.dtype).eps)
    wide = got.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(wide - expected)
        units = np.where(error == 0, 0.0, error / (eps * scale))
    finite = np.isfinite(wide) & np.isfinite(expected)
    agree = (wide == expected) | (np.isnan(wide) & np.isnan(expected))
    return np.where(finite, units, np.where(agree, 0.0, np.inf))


def mismatch(case: Case, output: str, got: np.ndarray, dtype: str, bound: Bound) -> str | None:
    """What is wrong with `got` as the named output of the case, in one sentence; None if it is within the bound."""
    expected = case.outputs[output]
    where = f"case {case.name!r}, output {output}"
    if got.dtype != np.dtype(dtype):
        return f"{where}: dtype is {got.dtype}, must be {dtype}"
    if got.shape != expected.shape:
        return f"{where}: shape is {got.shape}, must be {expected.shape}"
    if bound.kind == "exact":
        wrong = ~same_bits(got, expected.astype(got.dtype))
        measure = "must be the same bits"
    else:
        units = errors(got, expected, case.scales[output])
        wrong = ~(units <= bound.factor)
        worst = float(units.max()) if units.size else 0.0
        measure = f"the worst error is {worst:.3g} eps * scale, the bound {bound.factor:g}"
    if not wrong.any():
        return None
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{where}: {int(wrong.sum())} of {wrong.size} elements differ, first at {first}: "
        f"got {got[first]!r}, expected {expected[first]!r}; {measure}"
    )
