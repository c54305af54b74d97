#!/usr/bin/env python3
"""How much a matrix with rows of different lengths stores: plain ELL beside sections, as its longest row grows.

pip install matplotlib; PYTHONPATH=build/python python docs/examples/sectioned_memory.py
"""

from pathlib import Path

import numpy as np

from nitrix.sparse import sectioned_ell_from_ragged

PICTURE = Path(__file__).resolve().parent.parent / "images" / "sectioned_memory.png"
ROWS, MEDIAN = 20_000, 12


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(0)
    longest, plain, sections = [15, 30, 60, 120, 240, 480, 960], [], []
    for most in longest:
        spread = rng.standard_normal(ROWS)
        counts = np.clip(np.round(MEDIAN * np.exp(spread * np.log(most / MEDIAN) / 4)), 1, most).astype(int)
        counts[0] = most
        rows = [np.zeros(c, np.int32) for c in counts]
        held = sectioned_ell_from_ragged([r.astype(np.float32) for r in rows], rows, n_cols=1)
        plain.append(ROWS * most / counts.sum())
        sections.append(held.total_storage / counts.sum())
        print(f"median {np.median(counts):.0f}, most {most}: ELL {plain[-1]:.1f}, sections {sections[-1]:.2f} "
              f"times the {counts.sum():,} entries")  # fmt: skip
    figure, axis = plt.subplots(figsize=(6, 3.4), constrained_layout=True)
    axis.loglog(longest, plain, "o-", color="#c44e52", label="ELL: every row as long as the longest")
    axis.loglog(longest, sections, "o-", color="#4c72b0", label="SectionedELL: by ceil(log2(entries))")
    axis.axhline(2, color="0.6", lw=0.8, ls="--")
    axis.text(longest[-1], 2.1, "2", color="0.4", ha="right")
    axis.set_xticks(longest, longest)
    axis.set_yticks([1, 2, 5, 10, 20, 50], [1, 2, 5, 10, 20, 50])
    axis.minorticks_off()
    axis.set_xlabel(f"entries of the longest row (median {MEDIAN})")
    axis.set_ylabel("stored / entries")
    axis.legend(frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
    print(f"picture: {PICTURE}")


if __name__ == "__main__":
    main()
