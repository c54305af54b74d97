"""The neighbour graph of the digits, by REAL products."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from nitrix import semiring

from .report import Step, relative_error

K = 8  # neighbours of each image: the with 6, two groups of digits have no edge between them


@dataclass
class Graph:
    squared: np.ndarray  # squared distances of all pairs, exact integers in float32, below 2^13
    nearest: np.ndarray  # [n, K] indices of each image's nearest, nearest first
    joined: np.ndarray  # bool [n, n]: one of the two is among the other's nearest

    def weights(self, lengths: np.ndarray, none: float) -> np.ndarray:
        """The matrix that path algebras square: `lengths` along edges, 0 to stay, `none` where there is no edge."""
        matrix = np.where(self.joined, lengths, np.float32(none))
        np.fill_diagonal(matrix, 0)
        return matrix

    def sparse(self, lengths: np.ndarray) -> csr_array:
        """The same edges as SciPy takes them, in float64."""
        rows, columns = np.nonzero(self.joined)
        return csr_array((lengths[rows, columns].astype(np.float64), (rows, columns)), shape=self.joined.shape)


def neighbour_graph(images: np.ndarray) -> tuple[Graph, Step]:
    """|x - y|^2 = |x|^2 + |y|^2 - 2 x.y: grey values are integers up to 16, so float32 holds every term exactly."""
    step = Step(f"Neighbour graph: the {K} nearest of each image, by REAL products")
    n = len(images)
    with step.ours():
        norms = np.square(images).sum(axis=1)
        squared = norms[:, None] + norms - 2 * step.matmul(images, images.T, semiring.REAL)
        # Distances are integers, so (distance, index) fits one sortable integer and a tie goes to the smaller index.
        keys = squared.astype(np.int32) * np.int32(n) + np.arange(n, dtype=np.int32)
        np.fill_diagonal(keys, np.iinfo(np.int32).max)
        nearest = np.sort(np.partition(keys, K, axis=1)[:, :K], axis=1) % n
        joined = np.zeros((n, n), dtype=bool)
        joined[np.arange(n)[:, None], nearest] = True
        joined |= joined.T
    with step.peer("scikit-learn's kneighbors"):
        distances, _ = NearestNeighbors(n_neighbors=K).fit(images.astype(np.float64)).kneighbors()
    got = np.sqrt(np.take_along_axis(squared, nearest, axis=1).astype(np.float64))
    step.check(
        "squared distances of all pairs, against SciPy's",
        np.abs(squared - cdist(images, images, "sqeuclidean")).max(),
        0,
    )
    step.check("distances to the nearest, relative to scikit-learn's", relative_error(got, distances), 1e-12)
    step.say(f"{joined.sum() // 2:,} edges between {n:,} digits")
    return Graph(squared, nearest, joined), step


def nearest_by_euclidean(images: np.ndarray, labels: np.ndarray, known: int) -> Step:
    """Names each of the later digits after the nearest of the first `known`."""
    step = Step(f"Nearest neighbours: digits {known + 1} to {len(images)} among the first {known}, by EUCLIDEAN")
    asked = images[known:]
    with step.ours():
        distances = step.matmul(asked, images[:known].T, semiring.EUCLIDEAN)
        named = labels[distances.argmin(axis=1)]
    with step.peer("SciPy's cdist"):
        reference = cdist(asked, images[:known])
    step.check("distances, relative to SciPy's", relative_error(distances, reference), 1e-6)
    # A tie may fall either way, so what counts is how far the chosen one is, not which it is.
    chosen = np.take_along_axis(reference, distances.argmin(axis=1)[:, None], axis=1)[:, 0]
    step.check("the chosen ones against the nearest by SciPy", relative_error(chosen, reference.min(axis=1)), 1e-6)
    step.say(f"{np.mean(named == labels[known:]):.1%} of them get the name that is right")
    return step
