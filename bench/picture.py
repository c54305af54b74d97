"""One picture: each algebra as a fraction of its own limit, with its peers, per size."""

from pathlib import Path

from measure import OURS, Row

CUBES = ("64", "128", "256", "512", "1024", "2048")
OTHERS = ("257x129x65", "1000x777x333", "256x256x32768")
COLOURS = ("#7a8794", "#c98a2b", "#6f9e5a", "#9a6fb0", "#b8685c")


class NothingToDraw(ValueError):
    """No case of the picture was measured."""


def draw(rows: list[Row], path: Path, caption: str, dtype: str = "float32") -> None:
    """Writes the picture; rows without a limit are left out."""
    plt = _pyplot()
    sizes = [
        s
        for s in (*CUBES, *OTHERS)
        if any(row.size == s and row.fraction for row in rows if row.op == "semiring_matmul")
    ]
    shown = [
        row
        for row in rows
        if row.op == "semiring_matmul" and row.size in sizes and row.fraction and row.dtype in (dtype, "bool")
    ]
    algebras = list(dict.fromkeys(row.algebra for row in shown))
    if not algebras:
        raise NothingToDraw("no square or odd-sized product was measured beside a limit")
    columns = min(3, len(algebras))
    lines = -(-len(algebras) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.2 * columns, 3.3 * lines + 0.6), sharey=True, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(algebras) :]:
        axis.set_visible(False)
    for axis, algebra in zip(axes.flat, algebras, strict=False):
        at = {row.size: row for row in shown if row.algebra == algebra}
        names = dict.fromkeys(name for row in at.values() for name, peer in row.peers.items() if peer.agrees)
        for colour, name in zip(COLOURS, names, strict=False):
            # A peer's fraction follows from nitrix's and the ratio of the two in the same rounds.
            safe = all(row.peers[name].safe for row in at.values() if name in row.peers)
            _curve(axis, sizes, {s: r.fraction / r.peers[name].ratio for s, r in at.items() if name in r.peers},
                   colour, name if safe else f"{name} (unsafe)", width=1.3, style="-" if safe else ":")  # fmt: skip
        _curve(axis, sizes, {s: r.fraction for s, r in at.items()}, "#1f5fae", OURS, width=2.6)
        sequence = next((row.limit for row in at.values() if row.limit and row.limit != "memory"), "memory")
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_title(f"{algebra.upper()}\nlimit: {sequence.replace('/', ' ')}", fontsize=10)
        axis.set_xticks(range(len(sizes)), [s.replace("x", "\n") for s in sizes], fontsize=7)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7, frameon=False, loc="best")
    for axis in axes[:, 0]:
        axis.set_ylabel("fraction of the limit")
        axis.set_ylim(0, 1.08)
    figure.suptitle(caption, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_shares(rows: list[Row], path: Path, caption: str, dtype: str = "float32") -> None:
    """Time of LOG's product against the share of entries that need its streaming form."""
    bad = [row for row in rows if row.size.endswith(" bad") and row.dtype == dtype]
    if len(bad) < 2:
        raise NothingToDraw("LOG was not measured with bad entries")
    shares = {float(row.size.split()[-2]): row.seconds * 1e3 for row in bad}
    size = bad[0].size.split()[0]
    products = (row for row in rows if row.op == "semiring_matmul" and (row.dtype, row.size) == (dtype, size))
    real = next((row.seconds * 1e3 for row in products if row.algebra == "real"), None)
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
    names = [f"{share:g}" for share in sorted(shares)]
    axis.plot(names, [shares[s] for s in sorted(shares)], marker="o", linewidth=2.4, color="#1f5fae", label="LOG")
    if real is not None:
        axis.axhline(real, color="#7a8794", linewidth=1.3, linestyle="--", label="REAL")
    axis.set_yscale("log")
    for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        which("{x:g}")
    axis.set_xlabel("share of entries that need the streaming form")
    axis.set_ylabel("time [ms]")
    axis.set_title(f"LOG, {size} x {size} x {size}\n{caption}", fontsize=9)
    axis.grid(axis="y", which="both", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _curve(axis, sizes, values: dict[str, float], colour: str, label: str, width: float, style: str = "-") -> None:
    """A line through the square sizes; the others stand by themselves."""
    for part in (CUBES, OTHERS):
        points = [(i, values[s]) for i, s in enumerate(sizes) if s in values and s in part]
        if points:
            x, y = zip(*points, strict=True)
            line = style if part is CUBES else "none"
            axis.plot(x, y, linestyle=line, marker="o", markersize=3.5, linewidth=width, color=colour, label=label)
            label = "_"  # one entry in the legend
