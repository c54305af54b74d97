"""One case, raced: nitrix, its peers and the machine's limit on the same inputs in the same rounds."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
from benchmarks import BENCHMARKS, Case
from blas import Absent
from limits import SEQUENCES, Limits
from peers import PEERS, DoesNotApply, Problem
from timing import Clock, race

OURS = "nitrix"
PROBE_SECONDS = 3e-3


@dataclass
class PeerResult:
    seconds: float
    ratio: float
    """How many times as long as nitrix it takes, median over rounds: above 1, nitrix is faster."""
    safe: bool
    agrees: bool
    """Its result is nitrix's, within the peer's tolerance."""
    rounds: int


@dataclass
class Row:
    name: str
    op: str
    algebra: str
    dtype: str
    size: str
    seconds: float
    gops: float
    rounds: int
    variant: str
    limit: str | None = None
    """The instruction sequence, or "memory" where moving the operands takes longer."""
    limit_gops: float | None = None
    fraction: float | None = None
    best_peer: str | None = None
    ratio: float | None = None
    """Of the fastest peer that is safe and agrees."""
    peers: dict[str, PeerResult] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def agrees(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> bool:
    """Whether two results are the same up to `tolerance` of the largest entry."""
    if ours.dtype == bool or tolerance == 0:
        return np.array_equal(ours, theirs)
    scale = float(np.abs(ours).max(initial=0.0))
    return bool(np.abs(ours - theirs).max(initial=0.0) <= tolerance * scale)


def measure(
    nitrix,
    case: Case,
    *,
    limits: Limits | None,
    target: str | None = None,
    threads: int = 1,
    seconds: float = 1.0,
    optional: frozenset[str] = frozenset(),
    clock: Clock = time.perf_counter,
) -> Row:
    """Runs a case for about `seconds`. The limit is that of `target`, by default of the machine."""
    inputs = case.make(np.random.default_rng(1))
    out = nitrix.empty(case.out_shape, case.out_dtype or case.dtype)
    ours = BENCHMARKS[case.op].call(nitrix, case, inputs, out, threads)
    ours()
    variant = nitrix.last_variant()

    calls, results, absent = {OURS: ours}, {}, {}
    problem = Problem(case.algebra, inputs[0], inputs[-1], out, threads, inputs, case.op)
    entered = {}
    for peer in PEERS:
        if case.op != peer.op or case.algebra not in peer.algebras or (peer.optional and peer.optional not in optional):
            continue
        if not case.peers or (case.dtype == "float16") != peer.half:
            continue
        try:
            calls[peer.name], results[peer.name] = peer.bind(problem)
            entered[peer.name] = peer
        except Absent as reason:
            absent[peer.name] = str(reason)
        except DoesNotApply:
            pass

    probe = ceiling = None
    if limits:
        computed_in = {"float16": "float32", "uint32": "bool"}.get(case.dtype, case.dtype)
        name = limits.name(SEQUENCES[case.algebra], computed_in, target)
        moved = case.operations / case.bytes

        def issue() -> float:
            return limits.measure(name, PROBE_SECONDS)

        def memory() -> float:
            return limits.memory() * moved

        # What binds is measured in each round.
        probe, ceiling = (memory, issue()) if case.of_memory else (issue, limits.bandwidth(case.bytes) * moved)

    times = race(calls, seconds=seconds, probe=probe, clock=clock)
    median = times.median(OURS)
    work = case.operations / 1e9
    row = Row(case.name, case.op, case.algebra, case.dtype, case.size, median, work / median,
              len(times.rounds[OURS]), variant, absent=absent)  # fmt: skip
    if limits:
        probed = float(np.median(times.probe))
        row.limit = "memory" if (probed < ceiling) == case.of_memory else name
        row.limit_gops = min(probed, ceiling)
        row.fraction = times.fraction(OURS, work, ceiling)
    for peer_name, peer in entered.items():
        row.peers[peer_name] = PeerResult(
            seconds=times.median(peer_name),
            ratio=times.ratio(peer_name, OURS),
            safe=peer.safe,
            agrees=agrees(out, results[peer_name], peer.tolerance),
            rounds=len(times.rounds[peer_name]),
        )
    best = min(
        (name for name, peer in row.peers.items() if peer.safe and peer.agrees),
        key=lambda name: row.peers[name].ratio,
        default=None,
    )
    if best:
        row.best_peer, row.ratio = best, row.peers[best].ratio
    return row


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
