"""Timing several ways of doing one thing beside each other: in turn, round after round, so that whatever else the
machine does falls on all of them, and compared within a round before anything is averaged."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Clock = Callable[[], float]


@dataclass
class Times:
    """Seconds per call of each contestant, one entry a round."""

    rounds: dict[str, list[float]] = field(default_factory=dict)
    probe: list[float] = field(default_factory=list)
    """What the probe (the machine's limit) gave in each round."""

    def median(self, name: str) -> float:
        return statistics.median(self.rounds[name])

    def ratio(self, slower: str, faster: str) -> float:
        """How many times as long `slower` took: the median of the rounds' ratios."""
        pairs = zip(self.rounds[slower], self.rounds[faster], strict=False)
        return statistics.median(s / f for s, f in pairs)

    def fraction(self, name: str, work: float, ceiling: float = math.inf) -> float:
        """Rate (`work` per call over time) as a fraction of the probe's in the same round, or of `ceiling` if lower."""
        limits = self.probe or [math.inf]
        # A contestant too slow for every round was timed in the first ones.
        times = self.rounds[name]
        return statistics.median(work / t / min(limits[min(i, len(limits) - 1)], ceiling) for i, t in enumerate(times))


def _time(call: Callable[[], object], repeats: int, clock: Clock) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def race(
    contestants: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    probe: Callable[[], float] | None = None,
    slice_seconds: float = 2e-3,
    rounds: tuple[int, int] = (5, 51),
    clock: Clock = time.perf_counter,
) -> Times:
    """Calls every contestant in turn for about `seconds` in all, between rounds[0] and rounds[1] times each.

    Short calls are repeated to fill `slice_seconds`. A contestant that alone would use up the time with rounds[0] calls
    is timed as often as fits, once at least: the others go on without it. What compiles must have compiled before.
    """
    times = Times({name: [] for name in contestants})
    repeats: dict[str, int] = {}
    most: dict[str, int] = {}
    for name, call in contestants.items():
        once = max(_time(call, 1, clock), 1e-9)  # faults pages in, fills caches
        if once > seconds:  # and is all there is time for
            repeats[name], most[name] = 1, 0
            times.rounds[name].append(once)
            continue
        once = max(_time(call, 1, clock), 1e-9)
        if once < slice_seconds:
            once = max(_time(call, min(1000, math.ceil(slice_seconds / once / 4)), clock), 1e-9)
        repeats[name] = max(1, math.ceil(slice_seconds / once))
        share = seconds / len(contestants)
        slow = once * repeats[name] * rounds[0] > max(share, seconds / 2)
        most[name] = max(1, int(seconds / 2 / once)) if slow else rounds[1]
    order = list(contestants)
    start = clock()
    for turn in range(rounds[1]):
        if turn >= rounds[0] and clock() - start > seconds:
            break
        # Who follows whom changes from round to round: a neighbour that empties the caches is not always the same.
        in_turn = order[turn % len(order) :] + order[: turn % len(order)]
        if probe:
            times.probe.append(probe())
            if turn < most[in_turn[0]]:
                contestants[in_turn[0]]()  # it does not pay for the probe's use of the caches
        for name in in_turn:
            if turn < most[name]:
                times.rounds[name].append(_time(contestants[name], repeats[name], clock))
    return times
