"""Matrix products and convolutions over semirings.

An algebra combines two numbers with one operation and reduces with another: REAL multiplies and adds,
TROPICAL_MIN_PLUS adds and takes the smallest, which makes a matrix product a step of a shortest-path search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from nitrix._kinds import Array, SupportsDLPack
from nitrix._ops import ALGEBRAS, FUNCTIONS, OPS, direct


@dataclass(frozen=True, slots=True)
class Semiring:
    """An algebra of the linked library, by name."""

    name: str
    """What the C interface and variant ids call it: "tropical_min_plus"."""
    strict: bool
    """Whether combining associates and distributes over the reduction. Reordered reductions need that."""
    identity: float
    """What a reduction over nothing gives."""
    annihilator: float | None
    """The z that makes every product with it the identity, so that entries can be masked; None if there is none."""
    components: int = 1
    """How many arrays the state of a reduction has: 2 for LOG, 1 for the others."""


SEMIRINGS: dict[str, Semiring] = {
    a["name"]: Semiring(a["name"], a["strict"], a["identity"], a["annihilator"], a["components"]) for a in ALGEBRAS
}
"""Every algebra of this build by name. Each is also a constant of this module: "log" is LOG."""

MOST_COMPONENTS: int = max(s.components for s in SEMIRINGS.values())

REAL: Semiring = SEMIRINGS["real"]
LOG: Semiring
TROPICAL_MAX_PLUS: Semiring
TROPICAL_MIN_PLUS: Semiring
BOOLEAN: Semiring
EUCLIDEAN: Semiring
globals().update({name.upper(): semiring for name, semiring in SEMIRINGS.items()})

__all__ = [
    "SEMIRINGS",
    "Semiring",
    "reference_semiring_conv",
    "semiring_conv_vjp",
    "reference_semiring_ell_matmul",
    "reference_semiring_ell_rmatvec",
    "reference_semiring_matmul",
    "semiring_closure",
    "semiring_conv",
    "semiring_ell_conv",
    "semiring_ell_conv_vjp",
    "semiring_ell_edge_mlp",
    "semiring_ell_edge_mlp_vjp",
    "semiring_ell_edge_reduce",
    "semiring_ell_edge_reduce_vjp",
    "semiring_ell_matmul",
    "semiring_ell_matmul_vjp",
    "semiring_ell_rmatvec",
    "semiring_matmul",
    "semiring_matmul_argmax",
    "semiring_matmul_bits",
    "semiring_matmul_carry",
    "semiring_matmul_finalize",
    "semiring_matmul_merge",
    "semiring_matmul_partial",
    "semiring_matmul_vjp",
    "semiring_nearest",
    "semiring_pack_bits",
    "semiring_power",
    "semiring_ragged_matmul",
    "semiring_ragged_rmatvec",
    *(name.upper() for name in SEMIRINGS),
]


def __getattr__(name: str) -> Semiring:
    known = ", ".join(n.upper() for n in SEMIRINGS)
    raise AttributeError(f"module 'nitrix.semiring' has no attribute '{name}'; the algebras of this build are {known}")


def algebra_name(semiring: Semiring | str) -> str:
    """The algebra's name, once it is known to exist in this build."""
    name = semiring.name if isinstance(semiring, Semiring) else semiring
    if not isinstance(name, str):
        raise TypeError(f"semiring must be a Semiring or its name, got {type(semiring).__name__}")
    if name not in SEMIRINGS:
        raise ValueError(f"semiring: unknown algebra '{name}'; this build has {', '.join(SEMIRINGS)}")
    return name


_matmul: Callable[..., Any] = OPS["semiring_matmul"].call


@direct("semiring_matmul", REAL)
def semiring_matmul(
    A: Array,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Matrix product over a semiring.

    ``C[..., i, j] = reduce over k of combine(A[..., i, k], B[..., k, j])``, with the semiring's two operations: for
    REAL the ordinary product, for TROPICAL_MIN_PLUS ``min over k of A[i, k] + B[k, j]``. No array of m x n x k entries
    is ever formed. The order of the reduction depends on shapes alone, so the same call gives the same bits on every
    run, for every number of threads.

    Parameters
    ----------
    A : (..., m, k)
    B : (..., k, n)
        Arrays of one dtype: float32 or float64 (BOOLEAN: bool). Leading dimensions broadcast. Any strides; sizes of
        zero work, and an empty k gives the semiring's identity. REAL and the tropical algebras also take float16 and
        bfloat16: the product is computed in float32 and rounded once.
    semiring
        One of the constants of this module, or its name.
    backend
        "auto" (then the variable ``NITRIX_BACKEND`` decides), "cpu", "cuda" or "naive".
    out : (..., m, n)
        Where the result goes, if given: writable, of the result's dtype and shape, not overlapping A or B.
    threads
        Most threads of this call; 0: ``NITRIX_NUM_THREADS``, else all cores.
    variant
        The id of the one variant that must serve the call (:func:`nitrix.info` lists them), or None.
    mode
        "off": the naive variant; "on": the best one; "verify": both, compared bit for bit.

    Returns
    -------
    (..., m, n)
        The product, of the dtype of A and B and of A's kind (a NumPy array for a NumPy array, a torch.Tensor for a
        torch.Tensor, ...); ``out`` if that was given.

    Raises
    ------
    TypeError
        A, B or out is not an array, has another dtype than the others or one without a variant, or is not in CPU
        memory. dtypes are never promoted.
    ValueError
        Shapes do not fit, ``out`` is read-only or overlaps an input, or an unknown semiring, backend, variant or mode.
    NotImplementedError
        Nothing compiled serves the call.
    NitrixFallbackError, NitrixVerifyError
        See :mod:`nitrix.errors`.

    Warns
    -----
    NitrixBackendFallback
        Another backend or variant than the one asked for served the call; once per kind of call.

    The GIL is free while the kernel runs, but where arrays are so small that giving it up takes longer.
    """
    product: Array = _matmul((A, B), (algebra_name(semiring),), out, backend, threads, variant, mode)
    return product


def reference_semiring_matmul(A: Array, B: SupportsDLPack, *, semiring: Semiring | str) -> Array:
    """:func:`semiring_matmul` by the naive variant: the same bits, from the shortest path through the code."""
    product: Array = _matmul((A, B), (algebra_name(semiring),), None, "naive", 0, None, None)
    return product


_pack_bits: Callable[..., Any] = OPS["semiring_pack_bits"].call
_matmul_bits: Callable[..., Any] = OPS["semiring_matmul_bits"].call


def semiring_pack_bits(
    x: Array,
    axis: Literal[-1, -2] = -1,
    *,
    semiring: Semiring | str = "boolean",
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Truth values 32 to a word, as :func:`semiring_matmul_bits` takes them.

    Bit b of word w is entry 32 w + b along the axis, and bits behind the last entry are 0: the bytes of
    ``numpy.packbits(x, axis, bitorder="little")``, four to a word.

    Parameters
    ----------
    x : (..., m, n)
        bool, or uint8 of which any but 0 is true. Any strides.
    axis
        -1 packs rows, for a left operand; -2 packs columns, for a right one.
    semiring
        BOOLEAN, the one algebra of truth values.
    backend, threads, mode
        As for :func:`semiring_matmul`.
    out
        The array that receives the words, if given.

    Returns
    -------
    (..., m, ceil(n / 32)) or (..., ceil(m / 32), n), uint32
        Of the kind of x.

    Raises
    ------
    As :func:`semiring_matmul`; ValueError also for another axis.
    """
    return _pack_bits((x,), (algebra_name(semiring), axis), out, backend, threads, None, mode)  # type: ignore[no-any-return]


def semiring_matmul_bits(
    A: Array,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str = "boolean",
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """BOOLEAN's product of packed operands: ``C[..., i, j] = any over w of A[..., i, w] & B[..., w, j]``.

    ``semiring_matmul_bits(semiring_pack_bits(X), semiring_pack_bits(Y, -2))`` is
    ``semiring_matmul(X, Y, semiring=BOOLEAN)``, which packs both in every call.

    Parameters
    ----------
    A : (..., m, w)
    B : (..., w, n)
        uint32, 32 steps of the reduction in a word: bit b of word w is step 32 w + b. Behind the last step the bits of
        A or those of B must be 0. Leading dimensions broadcast. Any strides.
    semiring
        BOOLEAN, the one algebra of truth values.
    out : (..., m, n)
        The array that receives the result, if given: bool.
    backend, threads, variant, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    (..., m, n), bool
        Of the kind of A.

    Raises
    ------
    As :func:`semiring_matmul`.
    """
    return _matmul_bits((A, B), (algebra_name(semiring),), out, backend, threads, variant, mode)  # type: ignore[no-any-return]


_argmax: Callable[..., Any] = OPS["semiring_matmul_argmax"].call
_carry: Callable[..., Any] = OPS["semiring_matmul_carry"].call


def semiring_matmul_argmax(
    A: Array,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """:func:`semiring_matmul` of a tropical algebra, and for each entry the smallest k that attains it.

    Returns the product and an int32 array of its shape, -1 where an entry has no winner: it is NaN, or the algebra's
    identity. Arguments as for :func:`semiring_matmul`.
    """
    name = algebra_name(semiring)
    both: tuple[Array, Array] = _argmax((A, B), (name,), out, backend, threads, None, mode)
    return both


def semiring_matmul_carry(
    A: Array,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """:func:`semiring_matmul` of a tropical algebra, and what :func:`semiring_matmul_vjp` takes as ``winner``.

    The second array is int32, of the product's shape: in which block of 64 k an entry's winner lies, -1 where the entry
    is the algebra's identity. It costs a tenth of the product; the search inside the block is left to the backward.
    """
    name = algebra_name(semiring)
    both: tuple[Array, Array] = _carry((A, B), (name,), out, backend, threads, variant, mode)
    return both


_vjp: Callable[..., Any] = OPS["semiring_matmul_vjp"].call


def semiring_matmul_vjp(
    A: Array,
    B: SupportsDLPack,
    C: SupportsDLPack,
    dC: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    winner: SupportsDLPack | None = None,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """Vector-Jacobian product of :func:`semiring_matmul`: the gradients of ``sum(dC * C)`` with respect to A and B.

    With ``w`` the derivative of ``C[i, j]`` by its k-th term, ``dA[i, k]`` is the sum over j of ``dC[i, j] * w``, and
    ``dB[k, j]`` the sum over i. For the tropical algebras w is 1 at the winning k and 0 elsewhere; of equal winners the
    smallest k is the one; an entry that is the algebra's identity, or NaN, has no winner and passes nothing on. For LOG
    w is the softmax ``exp(A[i, k] + B[k, j] - C[i, j])``, for EUCLIDEAN ``(A[i, k] - B[k, j]) / C[i, j]`` (its negative
    for B), 0 where the distance is 0. No array of m x n x k entries is ever formed, and the bits do not depend on the
    number of threads.

    Parameters
    ----------
    A : (..., m, k)
    B : (..., k, n)
    C : (..., m, n)
        ``semiring_matmul(A, B, semiring=semiring)``, unchanged.
    dC : (..., m, n)
        The gradient with respect to C. All of one dtype, float32 or float64.
    semiring
        Any but BOOLEAN, whose truth values have no gradient.
    winner : (..., m, n), int32
        For the tropical algebras: what :func:`semiring_matmul_carry` gave beside C. Without it, it is computed again.
    backend, threads, mode
        As for :func:`semiring_matmul`.
    out
        Two arrays that receive dA and dB, if given.

    Returns
    -------
    dA, dB
        Of the shapes of A and B: a broadcast operand's gradient is summed over the broadcast dimensions.
    """
    name = algebra_name(semiring)
    gradients: tuple[Array, Array] = _vjp((A, B, C, dC, winner), (name,), out, backend, threads, None, mode)
    return gradients


_partial: Callable[..., Any] = OPS["semiring_matmul_partial"].call
_merge: Callable[..., Any] = OPS["semiring_matmul_merge"].call
_finalize: Callable[..., Any] = OPS["semiring_matmul_finalize"].call
State = tuple[Array, ...]
"""The state of a reduction that is not finished: one array per component, two for LOG."""


def state_arrays(op: str, argument: str, state: Any, components: int) -> tuple[Any, ...]:
    """The arrays of a state as the op takes them: a missing component is None."""
    if not isinstance(state, tuple | list):
        raise TypeError(
            f"{op}: {argument} must be a state, a tuple of arrays such as semiring_matmul_partial returns, got "
            f"{type(state).__name__}"
        )
    if len(state) != components:
        raise ValueError(f"{op}: {argument} has {len(state)} arrays, the state of this semiring has {components}")
    return (*state, *(None for _ in range(MOST_COMPONENTS - components)))


def _out(out: Any) -> Any:
    """A state of one component is a tuple here and an array to the op."""
    return out[0] if isinstance(out, tuple) and len(out) == 1 else out


def _state(result: Any) -> Any:
    return result if isinstance(result, tuple) else (result,)


def semiring_matmul_partial(
    A: Array,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: tuple[SupportsDLPack, ...] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> State[Array]:
    """The state of :func:`semiring_matmul`'s reduction over the k that A and B hold: a part of a product.

    With K cut into slices, ``merge`` the states of all slices and ``finalize`` the last: the product over all of K, on
    as many machines as there are slices.

    >>> left = semiring_matmul_partial(A[:, :500], B[:500], semiring=LOG)  # doctest: +SKIP
    >>> right = semiring_matmul_partial(A[:, 500:], B[500:], semiring=LOG)  # doctest: +SKIP
    >>> C = semiring_matmul_finalize(semiring_matmul_merge(left, right, semiring=LOG), semiring=LOG)  # doctest: +SKIP

    MAX_PLUS, MIN_PLUS and BOOLEAN give the bits of the whole product, however K is cut and in whatever order the states
    are merged. REAL and LOG round: they agree with it as well as it agrees with the exact one, and an order of merging
    always gives the same bits.

    Parameters
    ----------
    A : (..., m, k)
    B : (..., k, n)
        A slice of the operands, arrays of one dtype. An empty k gives the state of nothing, which merging leaves alone.
    semiring
        A strict algebra: REAL, LOG, BOOLEAN or a tropical one. EUCLIDEAN does not distribute over its sum (TypeError).
    backend, threads, mode
        As for :func:`semiring_matmul`.
    out
        A tuple of arrays that receive the state, if given.

    Returns
    -------
    tuple of (..., m, n)
        One array per component. LOG: the largest ``A[i, k] + B[k, j]``, and the sum of ``exp(A[i, k] + B[k, j] -
        largest)`` (0 where the largest is -inf, 1 where it is +inf). The others: the product of the slice.
    """
    name = algebra_name(semiring)
    return _state(_partial((A, B), (name,), _out(out), backend, threads, None, mode))


def semiring_matmul_merge(
    left: State[Array],
    right: tuple[SupportsDLPack, ...],
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: tuple[SupportsDLPack, ...] | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> State[Array]:
    """The state of two slices of K together, from what :func:`semiring_matmul_partial` or this function returned.

    Element by element; leading dimensions broadcast. A NaN of either state stays. Of equal zeros ``left``'s stays, so
    slices that are merged in the order of k have the signs of the whole product's zeros as well.

    ``out`` must not overlap either state. Other arguments and errors as for :func:`semiring_matmul`.
    """
    name = algebra_name(semiring)
    parts = SEMIRINGS[name].components
    states = (
        *state_arrays("semiring_matmul_merge", "left", left, parts),
        *state_arrays("semiring_matmul_merge", "right", right, parts),
    )
    return _state(_merge(states, (name,), _out(out), backend, threads, variant, mode))


def semiring_matmul_finalize(
    state: State[Array],
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """The product from the state of all of K: for LOG ``log(sum) + largest``, for the others the state's one array.

    Arguments and errors as for :func:`semiring_matmul`.
    """
    name = algebra_name(semiring)
    arrays = state_arrays("semiring_matmul_finalize", "state", state, SEMIRINGS[name].components)
    product: Array = _finalize(arrays, (name,), out, backend, threads, variant, mode)
    return product


_power: Callable[..., Any] = OPS["semiring_power"].call
_closure: Callable[..., Any] = OPS["semiring_closure"].call


def semiring_power(
    A: Array,
    n: int,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """The n-th power of square matrices, by repeated squaring.

    Over TROPICAL_MIN_PLUS: the cheapest ways of exactly n steps. The bits of n from the highest on: each squares what
    there is, and a 1 multiplies it by A; that order is the result's in REAL and LOG, which round.

    Parameters
    ----------
    A : (..., m, m)
        float32 or float64 (BOOLEAN: bool). Any strides.
    n
        0 or more. The power 0 has the neutral element of combine on the diagonal (1 for REAL, true for BOOLEAN, 0 for
        the others) and the semiring's identity elsewhere.
    semiring
        A strict algebra: REAL, LOG, BOOLEAN or a tropical one.
    backend, out, threads, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    (..., m, m)
        Of the dtype and kind of A.

    Raises
    ------
    As :func:`semiring_matmul`; ValueError also for a negative n, TypeError for EUCLIDEAN.
    """
    power: Array = _power((A,), (algebra_name(semiring), n), out, backend, threads, None, mode)
    return power


def semiring_closure(
    A: Array,
    *,
    semiring: Semiring | str = "tropical_min_plus",
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """The closure of square matrices, the sum of all their powers from 0 on: the best ways of any number of steps.

    Over TROPICAL_MIN_PLUS all-pairs shortest paths, over TROPICAL_MAX_PLUS the longest ones (of an acyclic graph, or
    the most probable of logarithms), over BOOLEAN reachability. ``A[i, j]`` is what the edge from i to j costs, the
    semiring's identity (+inf, -inf, false) where there is none. By halves: as many operations as one product.

    A way of no steps costs 0, so the diagonal is 0 (true) unless a cycle is better than that: then ways that go round
    it have no best, the diagonal of some vertex on it is below 0 (MAX_PLUS: above), and entries that it reaches mean
    nothing: where cycles may be, check the diagonal. A NaN makes every entry NaN that reads it.

    Parameters
    ----------
    A : (..., m, m)
        float32 or float64 (BOOLEAN: bool). Any strides.
    semiring
        BOOLEAN or a tropical one. REAL's and LOG's sums need not end (TypeError).
    backend, out, threads, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    (..., m, m)
        Of the dtype and kind of A.
    """
    closure: Array = _closure((A,), (algebra_name(semiring),), out, backend, threads, None, mode)
    return closure


FUNCTIONS[semiring_power] = (OPS["semiring_power"], {"semiring": REAL})
FUNCTIONS[semiring_closure] = (OPS["semiring_closure"], {"semiring": "tropical_min_plus"})

_nearest: Callable[..., Any] = OPS["semiring_nearest"].call


def semiring_nearest(
    A: Array,
    B: SupportsDLPack,
    k: int,
    *,
    semiring: Semiring | str = "euclidean",
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """The k smallest entries of each row of a product and their columns: exact nearest neighbours.

    For points in the rows of X and Y, ``semiring_nearest(X, Y.T, k)`` are the Euclidean distances from each row of X to
    the nearest k of Y, ascending, and which they are. With TROPICAL_MIN_PLUS: the k cheapest of the best ways over one
    stop. The product is computed in blocks that stay in cache and never stored.

    The result is that of a stable selection from :func:`semiring_matmul`'s product, bit for bit: of equal entries the
    smaller column comes first (+0 and -0 are equal), infinities are entries like others, NaN comes after everything.

    Parameters
    ----------
    A : (..., m, d)
    B : (..., d, n)
        Arrays of one dtype, float32 or float64. Leading dimensions broadcast. Any strides.
    k
        How many, at least 1. Where B has fewer columns, the rest of ``values`` is the semiring's identity and the rest
        of ``indices`` -1.
    semiring
        EUCLIDEAN or TROPICAL_MIN_PLUS. For the largest entries of a TROPICAL_MAX_PLUS product negate both operands.
    backend, threads, mode
        As for :func:`semiring_matmul`.
    out
        Two arrays that receive values and indices, if given.

    Returns
    -------
    values : (..., m, k)
        Of the dtype and kind of A.
    indices : (..., m, k), int32

    Raises
    ------
    As :func:`semiring_matmul`; ValueError also for a k below 1.
    """
    both: tuple[Array, Array] = _nearest((A, B), (algebra_name(semiring), k), out, backend, threads, None, mode)
    return both


FUNCTIONS[semiring_nearest] = (OPS["semiring_nearest"], {"semiring": "euclidean"})
FUNCTIONS[semiring_matmul_partial] = (OPS["semiring_matmul_partial"], {"semiring": REAL})
FUNCTIONS[semiring_matmul_merge] = (OPS["semiring_matmul_merge"], {"semiring": REAL})
FUNCTIONS[semiring_matmul_finalize] = (OPS["semiring_matmul_finalize"], {"semiring": REAL})
FUNCTIONS[semiring_matmul_argmax] = (OPS["semiring_matmul_argmax"], {})
FUNCTIONS[semiring_matmul_carry] = (OPS["semiring_matmul_carry"], {})
FUNCTIONS[semiring_matmul_vjp] = (OPS["semiring_matmul_vjp"], {"semiring": REAL})
FUNCTIONS[reference_semiring_matmul] = (OPS["semiring_matmul"], {"backend": "naive"})

# Below, because they take the algebras from here.
from nitrix._semiring_conv import (  # noqa: E402
    reference_semiring_conv,
    semiring_conv,
    semiring_conv_vjp,
)
from nitrix._semiring_ell import (  # noqa: E402
    reference_semiring_ell_matmul,
    reference_semiring_ell_rmatvec,
    semiring_ell_conv,
    semiring_ell_conv_vjp,
    semiring_ell_edge_mlp,
    semiring_ell_edge_mlp_vjp,
    semiring_ell_edge_reduce,
    semiring_ell_edge_reduce_vjp,
    semiring_ell_matmul,
    semiring_ell_matmul_vjp,
    semiring_ell_rmatvec,
    semiring_ragged_matmul,
    semiring_ragged_rmatvec,
)
