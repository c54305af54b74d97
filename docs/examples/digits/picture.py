"""The demo's picture: a map of all digits, and two ways from one digit to another."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display needed

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

COLOURS = pyplot.get_cmap("tab10").colors
WAYS = ("#111111", "#d6006c")


def save(
    file: Path, images: np.ndarray, labels: np.ndarray, map_: np.ndarray, ways: dict[str, tuple[Sequence[int], str]]
) -> None:
    """`ways` holds, for each title, the digits along a path and a line about it."""
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 11})
    figure = pyplot.figure(figsize=(12, 11.4), layout="constrained")
    atlas, *strips = figure.subplots(1 + len(ways), 1, height_ratios=[10] + [1.05] * len(ways))
    draw_map(atlas, images, labels, map_, [path for path, _ in ways.values()])
    for axes, colour, (title, (path, note)) in zip(strips, WAYS, ways.items(), strict=False):
        draw_strip(axes, images[list(path)], labels[list(path)], title, note, colour)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110, facecolor="white", pil_kwargs={"optimize": True})
    pyplot.close(figure)


def tinted(image: np.ndarray, colour: Sequence[float]) -> np.ndarray:
    """Ink in one colour on nothing."""
    ink = np.empty((8, 8, 4))
    ink[..., :3] = colour
    ink[..., 3] = image.reshape(8, 8) / 16
    return ink


def apart(points: np.ndarray, least: float, taken: list[np.ndarray]) -> list[int]:
    """Points in the order given, without those closer than `least` to one already chosen or taken."""
    chosen: list[int] = []
    kept = list(taken)
    for index, point in enumerate(points):
        if all(np.square(point - other).sum() >= least**2 for other in kept):
            chosen.append(index)
            kept.append(point)
    return chosen


def draw_map(axes: Axes, images: np.ndarray, labels: np.ndarray, map_: np.ndarray, paths: list[Sequence[int]]) -> None:
    span = np.ptp(map_, axis=0).max()
    stops = [map_[i] for path in paths for i in path]
    axes.scatter(*map_.T, c=[COLOURS[c] for c in labels], s=7, alpha=0.35, linewidths=0)
    for index in apart(map_, span / 42, stops):
        thumbnail = OffsetImage(tinted(images[index], COLOURS[labels[index]]), zoom=2.1, interpolation="nearest")
        axes.add_artist(AnnotationBbox(thumbnail, map_[index], frameon=False, pad=0))
    for path, colour in zip(paths, WAYS, strict=False):
        axes.plot(*map_[list(path)].T, color=colour, linewidth=2, alpha=0.85, zorder=5)
        for index in path:
            thumbnail = OffsetImage(16 - images[index].reshape(8, 8), zoom=2.7, cmap="gray", interpolation="nearest")
            frame = {"edgecolor": colour, "linewidth": 1.6}
            axes.add_artist(AnnotationBbox(thumbnail, map_[index], pad=0.12, bboxprops=frame, zorder=6))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
    axes.set_title(
        f"{len(images):,} handwritten digits, laid out by the length of the shortest paths between them (Isomap)",
        fontsize=14,
    )
    for digit in range(10):
        axes.plot([], [], "o", color=COLOURS[digit], label=str(digit))
    axes.legend(loc="upper left", ncols=2, frameon=False, handletextpad=0.1, columnspacing=0.8)


def draw_strip(axes: Axes, images: np.ndarray, labels: np.ndarray, title: str, note: str, colour: str) -> None:
    pitch = 10
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = place * pitch
        axes.imshow(16 - image.reshape(8, 8), cmap="gray", extent=(left, left + 8, 0, 8), interpolation="nearest")
        axes.plot([left, left + 8], [-0.9, -0.9], color=COLOURS[label], linewidth=4, solid_capstyle="butt")
    axes.set_xlim(-0.5, max(len(images), 16) * pitch)
    axes.set_ylim(-1.6, 8.3)
    axes.set_axis_off()
    axes.set_title(f"{title}   {note}", loc="left", color=colour, fontsize=11, pad=2)
