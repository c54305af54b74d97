#!/usr/bin/env python3
"""Geodesic distances over a cortical surface by repeated MIN_PLUS products with the graph of its edges.

Run by `./x demo`. fsaverage5 (10,242 vertices, the left pial surface) lies in nilearn's wheel, of which only two files
are read (surface.txt pins it; `build/demo` keeps it). Where it cannot be fetched the surface is a sphere, where the
exact answer is known. Every distance is checked against SciPy's Dijkstra; the exit code is 1 if one does not agree.
"""

import argparse
import base64
import gzip
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from nitrix.semiring import TROPICAL_MIN_PLUS, semiring_ell_matmul
from nitrix.sparse import ELL, ell_from_edges, icosphere

PICTURE = Path(__file__).resolve().parent.parent / "images" / "geodesics.png"
WHEELS = Path(__file__).resolve().parents[2] / "build" / "demo"
FSAVERAGE = "nilearn/datasets/data/fsaverage5/"
SEEDS = 64
DTYPES = {"NIFTI_TYPE_FLOAT32": "<f4", "NIFTI_TYPE_INT32": "<i4"}


def read_gifti(name: str, packed: bytes) -> list[np.ndarray]:
    """The arrays of a GIFTI file: for a surface, vertices and triangles."""
    arrays = []
    for entry in ElementTree.fromstring(gzip.decompress(packed)).iter("DataArray"):
        if entry.get("Encoding") != "GZipBase64Binary" or entry.get("Endian") != "LittleEndian":
            raise ValueError(f"{name}: {entry.get('Encoding')}, {entry.get('Endian')}: not read here")
        raw = zlib.decompress(base64.b64decode(entry.findtext("Data")))
        shape = [int(entry.get(f"Dim{d}")) for d in range(int(entry.get("Dimensionality")))]
        arrays.append(np.frombuffer(raw, DTYPES[entry.get("DataType")]).reshape(shape))
    return arrays


def wheel() -> Path | None:
    """nilearn's, fetched once and checked against the pinned hash; None where that fails, which pip has explained."""
    if not (found := list(WHEELS.glob("nilearn-*.whl"))):
        pins = Path(__file__).with_name("surface.txt")
        fetch = ["-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        subprocess.run([sys.executable, *fetch, "--require-hashes", "-r", pins, "-d", WHEELS], check=False)
        found = list(WHEELS.glob("nilearn-*.whl"))
    return found[0] if found else None


def surface() -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Its name, vertices, triangles, and where the vertices are shown."""
    if (packed := wheel()) is None:
        sphere = icosphere(5)
        return "a sphere of radius 100", 100 * sphere.vertices, sphere.faces, 100 * sphere.vertices
    with zipfile.ZipFile(packed) as files:
        pial, inflated = (read_gifti(f, files.read(FSAVERAGE + f)) for f in ("pial_left.gii.gz", "infl_left.gii.gz"))
    return "fsaverage5, left pial surface", pial[0].astype(np.float64), pial[1], inflated[0].astype(np.float64)


def edge_graph(vertices: np.ndarray, faces: np.ndarray) -> ELL:
    """The length of each edge, and 0 from every vertex to itself."""
    n = len(vertices)
    pairs = faces[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2).astype(np.int64)
    keys = np.unique(pairs[:, 0] * n + pairs[:, 1])
    rows, columns = np.concatenate([np.arange(n), keys // n]), np.concatenate([np.arange(n), keys % n])
    lengths = np.linalg.norm(vertices[rows] - vertices[columns], axis=1)
    return ell_from_edges(rows, columns, lengths, n_rows=n, identity=np.inf)


def geodesics(graph: ELL, seeds: np.ndarray) -> tuple[np.ndarray, int]:
    """The distances (n, seeds) along edges, and after how many products nothing changed."""
    distances = np.full((graph.n_cols, len(seeds)), np.inf)
    distances[seeds, np.arange(len(seeds))] = 0
    steps = 0
    while True:
        nearer = semiring_ell_matmul(graph.values, graph.indices, distances, semiring=TROPICAL_MIN_PLUS)
        steps += 1
        if np.array_equal(nearer, distances):
            return distances, steps
        distances = nearer


def check(graph: ELL, seeds: np.ndarray, distances: np.ndarray) -> tuple[float, float]:
    """The largest difference from SciPy's Dijkstra, relative, and the seconds that it takes."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    present = (graph.indices >= 0) & (graph.values > 0)
    starts = np.concatenate([[0], np.cumsum(present.sum(1))])
    matrix = csr_array((graph.values[present], graph.indices[present], starts), shape=graph.shape)
    start = time.perf_counter()
    expected = dijkstra(matrix, indices=seeds).T
    seconds = time.perf_counter() - start
    return float(np.abs(distances - expected).max() / expected.max()), seconds


def draw(file: Path, name: str, shown: np.ndarray, faces: np.ndarray, seeds: np.ndarray, distances: np.ndarray) -> None:
    """The surface from outside and inside, coloured by the distance from the first and from the nearest seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.collections import PolyCollection

    figure, axes = plt.subplots(2, 2, figsize=(9, 7), constrained_layout=True)
    corners = shown[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    fields = {"from one vertex": distances[:, 0], f"to the nearest of {len(seeds)} vertices": distances.min(axis=1)}
    for row, (title, field) in zip(axes, fields.items(), strict=True):
        for axis, side in zip(row, (-1, 1), strict=True):
            facing = np.flatnonzero(normals[:, 0] * side > 0)
            facing = facing[np.argsort(side * corners[facing, :, 0].mean(1))]
            flat = corners[facing][:, :, 1:] * [side, 1]
            patch = PolyCollection(flat, array=field[faces[facing]].mean(1), cmap="viridis", edgecolors="face", lw=0.2)
            patch.set_clim(0, field.max())
            axis.add_collection(patch)
            axis.autoscale_view()
            axis.set_aspect("equal")
            axis.axis("off")
        figure.colorbar(patch, ax=row, shrink=0.8, label="mm")
        row[0].set_title(f"Geodesic distance {title}", loc="left", fontsize=10)
    figure.suptitle(f"{name}: repeated MIN_PLUS products with the graph of edges", fontsize=11)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=75)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    name, vertices, faces, shown = surface()
    graph = edge_graph(vertices, faces)
    first, _ = geodesics(graph, np.array([0]))
    seeds = np.linspace(0, len(vertices) - 1, SEEDS).astype(int)
    seeds[0] = int(first[:, 0].argmax())
    start = time.perf_counter()
    distances, steps = geodesics(graph, seeds)
    seconds = time.perf_counter() - start
    error, peer = check(graph, seeds, distances)
    print(f"{name}: {len(vertices):,} vertices, {len(seeds)} seeds, {steps} products in {seconds:.2f} s "
          f"(SciPy's Dijkstra {peer:.2f} s); largest relative difference {error:.1e}")  # fmt: skip
    agrees = error < 1e-12
    if name.startswith("a sphere"):
        exact = 100 * np.arccos(np.clip(vertices @ vertices[seeds].T / 100**2, -1, 1))
        ratio = (distances[exact > 50] / exact[exact > 50]).max()
        print(f"along edges at most {ratio:.3f} of the distance on the sphere")
        agrees &= 1 - 1e-3 < ratio < 1.2
    draw(options.picture, name, shown, faces, seeds, distances)
    print(f"picture: {options.picture}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
