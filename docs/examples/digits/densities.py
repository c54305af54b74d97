"""A soft assignment of digits to their ten classes, by LOG products."""

import numpy as np
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from nitrix import semiring

from .graph import Graph
from .report import Step, relative_error

BANDWIDTH = 6.0  # grey levels


def responsibilities(graph: Graph, images: np.ndarray, labels: np.ndarray, known: int) -> Step:
    """How much each class answers for a digit, in a mixture of ten kernel densities fitted to the first `known` digits.

    log p(x | c) is a logsumexp over the known digits of class c: a LOG product of log-kernels with a table that holds
    log(1 / size of c) where the digit is of class c and -inf, LOG's annihilator, elsewhere. A second LOG product sums
    over the classes.
    """
    step = Step(f"Soft assignment of digits {known + 1} to {len(images)} to ten densities, by LOG products")
    kernels = graph.squared[known:, :known] / np.float32(-2 * BANDWIDTH**2)
    sizes = np.bincount(labels[:known], minlength=10)
    members = np.full((known, 10), -np.inf, dtype=np.float32)
    members[np.arange(known), labels[:known]] = -np.log(sizes[labels[:known]])
    priors = np.log(sizes / known).astype(np.float32)
    with step.ours():
        joint = step.matmul(kernels, members, semiring.LOG) + priors
        shares = np.exp(joint - step.matmul(joint, np.zeros((10, 1), dtype=np.float32), semiring.LOG))
    with step.peer("SciPy's logsumexp, class by class"):
        classes = [np.flatnonzero(labels[:known] == c) for c in range(10)]
        want = np.stack([logsumexp(kernels[:, of].astype(np.float64), axis=1) for of in classes], axis=1)
        want += np.log(1 / known)
        want_shares = np.exp(want - logsumexp(want, axis=1, keepdims=True))
    step.check("log-densities, relative to SciPy's", relative_error(joint, want), 2e-6)
    step.check("shares, against SciPy's", np.abs(shares - want_shares).max(), 2e-5)
    constant = images.shape[1] / 2 * np.log(2 * np.pi * BANDWIDTH**2)  # what normalises a kernel in 64 dimensions
    # In one leaf, so that scikit-learn sums every kernel: its default trees are off by up to 0.4 % here.
    one = KernelDensity(bandwidth=BANDWIDTH, leaf_size=known).fit(images[classes[0]].astype(np.float64))
    scores = one.score_samples(images[known:].astype(np.float64)) + constant + priors[0]
    step.check("log-densities of the zeros, relative to scikit-learn's", relative_error(joint[:, 0], scores), 2e-6)
    surest = shares.max(axis=1)
    right = shares.argmax(axis=1) == labels[known:]
    step.say(f"{right.mean():.1%} fall to their own class; for {(surest < 0.9).sum()} no class has 90 %")
    return step
