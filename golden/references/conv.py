"""Convolutions over the six algebras.

Each output is the matrix product of the elements that its taps read, in row-major order of the taps, with the rows of
the kernel that meet them, so what golden.references.semiring says of products holds. Taps outside the image are left
out. Options of a case stand among its inputs under their Python names.
"""

from collections.abc import Iterator

import numpy as np

from golden.references import Arrays, Reference, semiring

# size, window, c_in, c_out, stride, dilation, padding
SHAPES = {
    "plain_1d": ((19,), (4,), 2, 3, 1, 1, "SAME"),
    "plain_2d": ((7, 9), (3, 3), 2, 5, 1, 1, "SAME"),
    "plain_3d": ((4, 5, 6), (3, 2, 3), 2, 2, 1, 1, "SAME"),
    "valid_2d": ((7, 9), (3, 4), 3, 2, 1, 1, "VALID"),
    "plane_1d": ((40,), (5,), 1, 1, 1, 1, "SAME"),
    "plane_2d": ((6, 37), (3, 5), 1, 1, 1, 1, "SAME"),
    "plane_3d": ((4, 5, 8), (3, 3, 3), 1, 1, 1, 1, "SAME"),
    "plane_valid": ((6, 21), (3, 5), 1, 1, 1, 1, "VALID"),
    "stride_same_even": ((8, 9), (3, 4), 2, 2, (2, 3), 1, "SAME"),
    "stride_valid": ((8, 9), (3, 4), 2, 2, (3, 2), 1, "VALID"),
    "dilation": ((9, 11), (3, 3), 2, 3, 1, (2, 3), "SAME"),
    "plane_dilation": ((9, 30), (3, 3), 1, 1, (2, 1), (2, 4), "SAME"),
    "pairs": ((5, 6), (3, 3), 2, 2, (1, 2), 1, ((0, 2), (3, 1))),
    "pointwise": ((4, 5), (1, 1), 7, 19, 1, 1, "SAME"),
    "wide_out": ((3, 5), (2, 2), 1, 35, 1, 1, "SAME"),
    "one_pixel": ((1, 1), (3, 3), 2, 2, 1, 1, "SAME"),
    "kernel_larger_same": ((2, 3), (5, 7), 1, 2, 1, 1, "SAME"),
    "kernel_larger_valid": ((2, 3), (5, 7), 1, 2, 1, 1, "VALID"),
    "stride_larger": ((3, 4), (2, 2), 2, 2, 9, 1, "SAME"),
    "nowhere_near": ((3, 3), (2, 2), 1, 1, 1, 1, ((4, 0), (0, 5))),
    "no_channels": ((3, 4), (2, 2), 0, 3, 1, 1, "SAME"),
    "no_outputs": ((3, 4), (2, 2), 2, 0, 1, 1, "SAME"),
    "blocks_of_taps": ((3, 4), (11, 13), 2, 1, 1, 1, ((5, 5), (6, 6))),
    "blocks_of_taps_plane": ((2, 20), (1, 300), 1, 1, 1, 1, ((0, 0), (140, 159))),
    "blocks_of_channels": ((1, 3), (1, 2), 300, 2, 1, 1, "SAME"),
}


def pads(size: tuple, window: tuple, stride: list, dilation: list, padding: np.ndarray) -> list[tuple[int, int]]:
    """Positions before and after each spatial dimension; `padding` holds them, or the name of a rule."""
    if padding.dtype.kind != "U":
        return [tuple(pair) for pair in padding.tolist()]
    room = []
    for n, taps, step, gap in zip(size, window, stride, dilation, strict=True):
        total = max((-(-n // step) - 1) * step + (taps - 1) * gap + 1 - n, 0) if padding.item() == "SAME" else 0
        room.append((total // 2, total - total // 2))
    return room


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """The convolution y, and the scale of its bound where it has one."""
    x, k = inputs["x"], inputs["k"]
    window, c_out = k.shape[:-2], k.shape[-1]
    rank, size = len(window), x.shape[-len(window) - 1 : -1]
    stride, dilation = inputs["stride"].tolist(), inputs["dilation"].tolist()
    room = pads(size, window, stride, dilation, inputs["padding"])
    out = [
        (n + sum(pad) - (taps - 1) * gap - 1) // step + 1 if n + sum(pad) > (taps - 1) * gap else 0
        for n, pad, taps, gap, step in zip(size, room, window, dilation, stride, strict=True)
    ]
    boolean = algebra == "boolean"
    y = np.zeros((*x.shape[: -rank - 1], *out, c_out), bool if boolean else np.float64)
    scale = np.zeros(y.shape)
    for p in np.ndindex(*y.shape[:-1]):
        lead, position = p[: len(p) - rank], p[len(p) - rank :]
        read, met = [np.zeros((0,), x.dtype)], [np.zeros((0, c_out), k.dtype)]
        for q in np.ndindex(*window):
            at = tuple(
                i * s + j * g - b for i, s, j, g, (b, _) in zip(position, stride, q, dilation, room, strict=True)
            )
            if all(0 <= i < n for i, n in zip(at, size, strict=True)):
                read.append(x[(*lead, *at)])
                met.append(k[q])
        product, of_product = semiring.compute(algebra, {"A": np.concatenate(read)[None], "B": np.concatenate(met)})
        y[p] = product["C"][0]
        scale[p] = of_product["C"][0] if of_product else 0
    exact = boolean or algebra.startswith("tropical")
    return {"y": y if boolean or not exact else y.astype(x.dtype)}, {} if exact else {"y": scale}


def cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """The named inputs of a cell."""
    draw = semiring.Draw(algebra, dtype, "convolutions")

    def elements(*shape: int) -> np.ndarray:
        return draw.random.random_sample(shape) < 0.25 if algebra == "boolean" else draw.uniform(*shape)

    def case(
        x: np.ndarray, k: np.ndarray, stride: object = 1, dilation: object = 1, padding: object = "SAME"
    ) -> Arrays:
        rank = k.ndim - 2
        steps = {"stride": stride, "dilation": dilation}
        options = {name: np.broadcast_to(np.int64(value), rank).copy() for name, value in steps.items()}
        return {"x": x, "k": k, **options, "padding": np.array([padding] if isinstance(padding, str) else padding)}

    for name, (size, window, c_in, c_out, *options) in SHAPES.items():
        yield name, case(elements(*size, c_in), elements(*window, c_in, c_out), *options)
    yield "batch", case(elements(2, 5, 6, 2), elements(3, 3, 2, 3))
    if algebra == "boolean":
        return
    for name, c in (("channels", 2), ("plane", 1)):
        x, k = elements(6, 20, c), elements(3, 3, c, c)
        x[2, 5, 0], x[5, 19, c - 1], x[0, 11, 0] = np.inf, -np.inf, semiring.ANNIHILATOR.get(algebra, 0.0)
        yield f"infinities_{name}", case(x, k)
        x, k = elements(5, 20, c), elements(3, 3, c, c)
        k[0, 1, 0, 0], k[2, 2, 0, 0] = np.inf, -np.inf  # padding does not meet them
        yield f"infinities_in_kernel_{name}", case(x, k)
        x, k = elements(6, 20, c), elements(3, 3, c, c)
        x[2, 5, 0], x[5, 19, c - 1] = np.nan, np.nan
        yield f"nan_{name}", case(x, k)
        x, k = elements(4, 20, c), elements(3, 3, c, c)
        k[0, 0, 0, 0] = np.nan
        yield f"nan_in_kernel_{name}", case(x, k)
        yield f"ties_{name}", case(draw.integers(-2, 2, 5, 20, c), draw.integers(-2, 2, 3, 3, c, c))
        yield f"zeros_{name}", case(draw.choice([0.0, -0.0], 4, 9, c), draw.choice([0.0, -0.0], 2, 2, c, c))
        tiny = draw.dtype.type(np.finfo(draw.dtype).smallest_normal)
        yield f"denormals_{name}", case(elements(3, 9, c) * tiny, elements(2, 2, c, c) * tiny)


REFERENCES = {"semiring_conv": Reference(semiring.ALGEBRAS, cases, compute)}
