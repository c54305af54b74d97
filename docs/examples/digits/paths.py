"""Best paths between all pairs of digits: a path algebra's product squared until nothing improves."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from nitrix import semiring

from .graph import Graph
from .report import Step, relative_error


def closure(step: Step, best: np.ndarray, algebra: object) -> np.ndarray:
    """After s squarings the matrix holds the best over all paths of at most 2^s edges."""
    for _ in range((len(best) - 1).bit_length()):
        squared = step.matmul(best, best, algebra)
        if np.array_equal(squared, best):
            break
        best = squared
    return best


def shortest(graph: Graph) -> tuple[np.ndarray, Step]:
    """How far apart two digits are when each step must be a small one."""
    step = Step("Shortest paths of all pairs, by squaring in MIN_PLUS")
    lengths = edge_lengths(graph)
    with step.ours():
        distances = closure(step, graph.weights(lengths, np.inf), semiring.TROPICAL_MIN_PLUS)
    with step.peer("SciPy's Dijkstra (walks the sparse edges)"):
        reference = shortest_path(graph.sparse(lengths), method="D")
    with step.peer("SciPy's Floyd-Warshall (dense, as ours)"):
        dense = shortest_path(graph.weights(lengths, np.inf), method="FW")
    step.check("lengths, relative to SciPy's Dijkstra", relative_error(distances, reference), 0)
    step.check("lengths, relative to SciPy's Floyd-Warshall", relative_error(distances, dense), 0)
    farthest = np.unravel_index(distances.argmax(), distances.shape)
    step.say(f"the farthest two digits are {distances[farthest]:.0f} grey levels apart")
    return distances, step


def on_grid(lengths: np.ndarray, bits: int) -> np.ndarray:
    """Multiples of 2^-bits: float32 then adds them exactly as long as sums stay below 2^(24 - bits).

    So the order of a sum does not matter, the squaring ends as soon as no path improves, and SciPy's answer in float64
    must be the same to the last bit.
    """
    return np.round(lengths * 2.0**bits).astype(np.float32) * np.float32(2.0**-bits)


def edge_lengths(graph: Graph) -> np.ndarray:
    return on_grid(np.sqrt(graph.squared), 14)


def log_reliabilities(graph: Graph) -> np.ndarray:
    """log p of an edge, p = exp(-|x - y|^2 / (2 s^2)) with s^2 the median over the edges."""
    return on_grid(graph.squared / (-2 * np.median(graph.squared[graph.joined])), 18)


def most_reliable(graph: Graph) -> tuple[np.ndarray, Step]:
    """The widest paths that MAX_PLUS can honestly find.

    The width of a path in the usual sense, its worst edge, is a max-min problem and another algebra. MAX_PLUS
    maximises sums. So let an edge hold with probability p, independently of the others: a path holds with the product
    of its p, whose logarithm is a sum, and one bad edge still ruins a path.
    """
    step = Step("Most reliable paths of all pairs, by squaring in MAX_PLUS (sums of log-reliabilities)")
    logs = log_reliabilities(graph)
    with step.ours():
        best = closure(step, graph.weights(logs, -np.inf), semiring.TROPICAL_MAX_PLUS)
    with step.peer("SciPy's Dijkstra on -log p"):
        reference = -shortest_path(graph.sparse(-logs), method="D")
    step.check("log-reliabilities, relative to SciPy's", relative_error(best, reference), 0)
    step.say(f"a typical pair is joined with probability {np.exp(np.median(best)):.2g}")
    return best, step


def walk(costs: np.ndarray, edges: np.ndarray, start: int, end: int) -> list[int]:
    """The digits along one best path: from each, on to the neighbour through which the rest is cheapest."""
    path = [start]
    while path[-1] != end and len(path) <= len(costs):
        through = edges[path[-1]] + costs[:, end]
        through[path[-1]] = np.inf
        path.append(int(through.argmin()))
    return path


def check_walk(step: Step, path: list[int], costs: np.ndarray, edges: np.ndarray) -> None:
    steps = edges[path[:-1], path[1:]].astype(np.float64)
    what = f"sum over the {len(steps)} edges walked, relative to the product's entry"
    step.check(what, relative_error(steps.sum(), costs[path[0], path[-1]]), 0)


def reachable(graph: Graph, arrows: int = 2) -> Step:
    """Who is reached from whom along arrows to the few nearest: arrows have no way back, so this is not symmetric."""
    step = Step(f"Reachability along arrows to the {arrows} nearest, by squaring in BOOLEAN")
    n = len(graph.nearest)
    rows = np.repeat(np.arange(n), arrows)
    columns = graph.nearest[:, :arrows].ravel()
    with step.ours():
        start = np.eye(n, dtype=bool)
        start[rows, columns] = True
        reached = closure(step, start, semiring.BOOLEAN)
    with step.peer("SciPy's shortest_path"):
        arrows_only = csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
        reference = np.isfinite(shortest_path(arrows_only, method="D", unweighted=True))
    step.check("pairs that differ from SciPy's", int((reached != reference).sum()), 0)
    step.say(f"a digit reaches {reached.sum(axis=1).mean():.0f} of {n:,} on average")
    return step
