"""Isomap: coordinates in which straight lines are as long as the paths through the graph."""

import time

import numpy as np
from scipy.sparse.linalg import eigsh
from scipy.spatial import procrustes
from sklearn.manifold import Isomap

from nitrix import semiring

from .graph import K
from .report import Step, relative_error


def leading_eigenvectors(
    step: Step, matrix: np.ndarray, count: int, guard: int = 10
) -> tuple[np.ndarray, np.ndarray, float]:
    """Subspace iteration with `guard` more vectors than asked for, then Rayleigh-Ritz.

    Ends when the residuals |matrix v - value v| are at rounding level; returns values, vectors and the last residual
    relative to the largest value.
    """
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((len(matrix), count + guard)))[0]
    for _ in range(500):
        image = step.matmul(matrix, basis, semiring.REAL)
        values, rotation = np.linalg.eigh(step.matmul(basis.T, image, semiring.REAL))
        order = np.argsort(-np.abs(values))
        values, rotation = values[order], rotation[:, order]
        vectors = step.matmul(basis, rotation, semiring.REAL)
        image = step.matmul(image, rotation, semiring.REAL)
        leading = slice(0, count)
        residual = np.abs(image[:, leading] - vectors[:, leading] * values[leading]).max() / np.abs(values[0])
        if residual < 1e-13:
            break
        # Orthonormal again by the Gram matrix's Cholesky factor: after Rayleigh-Ritz the scaled columns nearly are.
        image /= np.abs(values)
        gram = step.matmul(image.T, image, semiring.REAL)
        basis = step.matmul(image, np.linalg.inv(np.linalg.cholesky(gram)).T, semiring.REAL)
    return values[leading], vectors[:, leading], float(residual)


def embed(distances: np.ndarray) -> tuple[np.ndarray, Step]:
    """Double centring turns squared distances into scalar products, whose leading eigenvectors are the coordinates."""
    step = Step("Isomap coordinates: leading eigenvectors of the centred squares, by REAL products in float64")
    with step.ours():
        squares = np.square(distances.astype(np.float64))
        means = squares.mean(axis=0)
        products = (means[:, None] + means - squares - means.mean()) / 2
        values, vectors, residual = leading_eigenvectors(step, products, 2)
        coordinates = vectors * np.sqrt(values)
        coordinates *= -np.sign(coordinates[0])  # signs are free: the first digit goes to the lower left
    with step.peer("SciPy's eigsh (ARPACK)"):
        want, want_vectors = eigsh(products, k=2)
    want, want_vectors = want[::-1], want_vectors[:, ::-1]
    step.check("eigenvalues, relative to SciPy's", relative_error(values, want), 1e-10)
    signs = np.sign((vectors * want_vectors).sum(axis=0))
    step.check("eigenvectors, against SciPy's up to sign", np.abs(vectors - signs * want_vectors).max(), 1e-9)
    step.check("last residual of the iteration", residual, 1e-13)
    return coordinates, step


def against_isomap(images: np.ndarray, coordinates: np.ndarray, steps: list[Step]) -> Step:
    """The three steps together beside scikit-learn's Isomap."""
    step = Step("Isomap from images to coordinates")
    started = time.perf_counter()
    want = Isomap(n_neighbors=K, n_components=2).fit_transform(images.astype(np.float64))
    step.seconds = sum(part.seconds for part in steps)
    step.compare("scikit-learn's Isomap", time.perf_counter() - started)
    # Not to rounding: where several images are equally far, scikit-learn may choose other neighbours than we do.
    step.check("distance of the two shapes (Procrustes)", procrustes(want, coordinates)[2], 3e-3)
    return step
