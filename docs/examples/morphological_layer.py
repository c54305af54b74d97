"""A morphological layer, trained: handwritten digits told apart by learned structuring elements.

The layer is a product over MAX_PLUS, h[i, u] = max over pixels p of x[i, p] + w[p, u]: the dilation of image i by unit
u, read at one place. Where a linear unit adds up everything it sees, this one answers with the single pixel that fits
best, so what it looks at can be read: the picture shows which pixels win. A linear layer over REAL turns the answers
into classes. Both are trained by gradient descent through nitrix.semiring.semiring_matmul_vjp.

    python docs/examples/morphological_layer.py [picture.png]
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from nitrix.semiring import (
    REAL,
    TROPICAL_MAX_PLUS,
    semiring_matmul,
    semiring_matmul_argmax,
    semiring_matmul_carry,
    semiring_matmul_vjp,
)

UNITS, EPOCHS, BATCH, RATE = 96, 60, 64, 0.01


class Adam:
    """Gradient descent with a step of its own for every weight (Kingma and Ba, 2015)."""

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.weights = weights
        self.mean = [np.zeros_like(w) for w in weights]
        self.square = [np.zeros_like(w) for w in weights]
        self.steps = 0

    def step(self, gradients: list[np.ndarray], rate: float) -> None:
        self.steps += 1
        for w, g, mean, square in zip(self.weights, gradients, self.mean, self.square, strict=True):
            mean += 0.1 * (g - mean)
            square += 0.001 * (g * g - square)
            scale = np.sqrt(square / (1 - 0.999**self.steps)) + np.float32(1e-8)
            w -= (rate * mean / (1 - 0.9**self.steps) / scale).astype(w.dtype)


def forward(x: np.ndarray, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The units' answers, in which block of pixels each found it, and the logarithm of each class's odds."""
    elements, classes, bias = weights
    answers, winner = semiring_matmul_carry(x, elements, semiring=TROPICAL_MAX_PLUS)
    return answers, winner, semiring_matmul(answers, classes, semiring=REAL) + bias


def loss_and_gradients(x: np.ndarray, y: np.ndarray, weights: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
    """The cross-entropy, and its derivative by every weight."""
    elements, classes, _ = weights
    answers, winner, scores = forward(x, weights)
    scores -= scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(len(y)), y].mean()
    d_scores = np.exp(log_p)
    d_scores[np.arange(len(y)), y] -= 1
    d_scores /= np.float32(len(y))
    d_answers, d_classes = semiring_matmul_vjp(answers, classes, scores, d_scores, semiring=REAL)
    _, d_elements = semiring_matmul_vjp(x, elements, answers, d_answers, semiring=TROPICAL_MAX_PLUS, winner=winner)
    return float(loss), [d_elements, d_classes, d_scores.sum(axis=0)]


def accuracy(x: np.ndarray, y: np.ndarray, weights: list[np.ndarray]) -> float:
    return float((forward(x, weights)[2].argmax(axis=1) == y).mean())


def train(x: np.ndarray, y: np.ndarray, seed: int = 0, epochs: int = EPOCHS) -> tuple[list[np.ndarray], list[float]]:
    """The trained weights, and the mean loss of each epoch."""
    random = np.random.default_rng(seed)
    elements = random.uniform(-1, 0, (x.shape[1], UNITS)).astype(np.float32)
    classes = (random.standard_normal((UNITS, 10)) / np.sqrt(UNITS)).astype(np.float32)
    weights = [elements, classes, np.zeros(10, np.float32)]
    descent, history = Adam(weights), []
    for epoch in range(epochs):
        losses = []
        for part in np.array_split(random.permutation(len(x)), len(x) // BATCH):
            loss, gradients = loss_and_gradients(x[part], y[part], weights)
            descent.step(gradients, RATE * (1 - epoch / epochs))
            losses.append(loss)
        history.append(float(np.mean(losses)))
    return weights, history


def attention(x: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """How often each pixel was a unit's answer, of shape (pixels, units): rows that never win do not matter."""
    _, index = semiring_matmul_argmax(x, elements, semiring=TROPICAL_MAX_PLUS)
    return np.stack([np.bincount(column, minlength=len(elements)) for column in index.T], axis=1) / len(x)


def draw(file: Path, x: np.ndarray, weights: list[np.ndarray], history: list[float], title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")  # no display needed
    from matplotlib import pyplot

    elements, classes, _ = weights
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10})
    figure = pyplot.figure(figsize=(11, 6.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2.2, 1])
    left.suptitle("The pixels that a unit answers with (and the digit that it speaks for most)", fontsize=11)
    wins = attention(x, elements)
    for axes, unit in zip(left.subplots(8, 12).flat, np.argsort(classes.argmax(axis=1), kind="stable"), strict=False):
        axes.imshow(np.sqrt(wins[:, unit]).reshape(8, 8), cmap="magma", vmin=0, vmax=0.7)
        axes.set_title(classes[unit].argmax(), fontsize=8, pad=1)
        axes.set_axis_off()
    axes = right.subplots()
    axes.semilogy(np.arange(1, len(history) + 1), history, color="#d6006c")
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross-entropy of the training digits")
    axes.set_title(title, fontsize=11)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100, facecolor="white", pil_kwargs={"optimize": True})


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("morphological_layer.png")
    images, labels = load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(x))
    learned, held_out = order[:1300], order[1300:]
    weights, history = train(x[learned], labels[learned])
    score = accuracy(x[held_out], labels[held_out], weights)
    print(f"cross-entropy {history[0]:.3f} -> {history[-1]:.4f} in {len(history)} epochs")
    print(f"{score:.1%} of {len(held_out)} digits never seen before are told apart")
    draw(file, x[learned], weights, history, f"{score:.1%} of {len(held_out)} unseen digits right")
    print(f"picture: {file}")


if __name__ == "__main__":
    main()
