#!/usr/bin/env python3
"""nitrix on real data: 1,797 handwritten digits, their neighbour graph, its best paths, and a map of them all.

Run by `./x demo`. Every answer is checked against SciPy or scikit-learn; the exit code is 1 if one does not agree.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from digits import densities, embedding, graph, paths, picture
from digits.report import Step
from sklearn.datasets import load_digits

import nitrix

PICTURE = Path(__file__).resolve().parent.parent / "images" / "demo.png"
KNOWN = 1200  # the others are named after these


def algebra_names() -> set[str]:
    """The algebras that this build has."""
    return {entry["name"] if isinstance(entry, dict) else entry for entry in nitrix.info()["algebras"]}


def paths_and_map(images: np.ndarray, labels: np.ndarray, file: Path) -> tuple[graph.Graph, list[Step]]:
    digits, joined = graph.neighbour_graph(images)
    distances, shortest = paths.shortest(digits)
    coordinates, embedded = embedding.embed(distances)
    isomap = embedding.against_isomap(images, coordinates, [joined, shortest, embedded])
    reliabilities, reliable = paths.most_reliable(digits)

    start, end = (int(i) for i in np.unravel_index(distances.argmax(), distances.shape))
    print(f"\nFrom a {labels[start]} to the {labels[end]} that is farthest from it")
    lengths = digits.weights(paths.edge_lengths(digits), np.inf)
    short = paths.walk(distances, lengths, start, end)
    paths.check_walk(shortest, short, distances, lengths)
    costs = digits.weights(-paths.log_reliabilities(digits), np.inf)
    sure = paths.walk(-reliabilities, costs, start, end)
    paths.check_walk(reliable, sure, -reliabilities, costs)
    ways = {
        "Shortest path (MIN_PLUS)": (short, f"{len(short) - 1} steps, {distances[start, end]:.0f} grey levels"),
        "Most reliable path (MAX_PLUS)": (sure, f"{len(sure) - 1} steps, log p = {reliabilities[start, end]:.2f}"),
    }
    picture.save(file, images, labels, coordinates, ways)
    return digits, [joined, shortest, embedded, isomap, reliable]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./x demo", description=__doc__)
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where the picture goes (default: %(default)s)")
    file = parser.parse_args().picture

    started = time.perf_counter()
    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32)
    cores = len(os.sched_getaffinity(0))
    print(f"nitrix {nitrix.__version__} on scikit-learn's {len(images):,} handwritten digits of 8 x 8, {cores} cores")

    digits, steps = paths_and_map(images, labels, file)
    optional = {
        "euclidean": lambda: graph.nearest_by_euclidean(images, labels, KNOWN),
        "log": lambda: densities.responsibilities(digits, images, labels, KNOWN),
        "boolean": lambda: paths.reachable(digits),
    }
    for name, run in optional.items():
        if name in algebra_names():
            steps.append(run())
        else:
            print(f"\nnot shown: this build has no {name} algebra")

    failed = sum(not step.passed for step in steps)
    outcome = f"{failed} of {len(steps)} steps FAILED" if failed else f"all {len(steps)} steps agree with their peers"
    print(f"\n{outcome}; {time.perf_counter() - started:.0f} s; picture: {os.path.relpath(file)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
