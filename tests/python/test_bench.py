"""The benchmark harness: its arithmetic, its honesty about peers, and that every op has a benchmark."""

import dataclasses
import importlib
import itertools
import json
import os
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest

import nitrix

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("NITRIX_BUILD_DIR", ROOT / "build"))
sys.path.append(str(ROOT / "bench"))

benchmarks = importlib.import_module("benchmarks")
limits = importlib.import_module("limits")
measure = importlib.import_module("measure")
peers = importlib.import_module("peers")
picture = importlib.import_module("picture")
report = importlib.import_module("report")
timing = importlib.import_module("timing")


class Clock:
    """Time that passes only when a contestant spends it; `load` is what the machine does to everyone in a round."""

    def __init__(self):
        self.now = 0.0
        self.load = 1.0

    def __call__(self):
        return self.now

    def spend(self, seconds):
        def call():
            self.now += seconds * self.load

        return call


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians():
    times = timing.Times({"ours": [1.0, 10.0, 4.0], "peer": [3.0, 20.0, 4.0]})
    assert times.ratio("peer", "ours") == 2.0  # of 3, 2 and 1; the medians would give 4 / 4


def test_load_that_falls_on_a_whole_round_cancels():
    clock = Clock()
    rounds = []

    def probe():
        clock.load = 1.0 + len(rounds) % 7
        rounds.append(clock.load)
        return 100.0 / clock.load

    times = timing.race({"ours": clock.spend(0.01), "peer": clock.spend(0.025)}, seconds=2.0, probe=probe, clock=clock)
    assert len(set(times.rounds["ours"][:7])) == 7
    assert times.ratio("peer", "ours") == pytest.approx(2.5)
    # 0.5 units of work in 0.01 s is half of a limit of 100 a second.
    assert times.fraction("ours", 0.5) == pytest.approx(0.5)
    assert times.fraction("ours", 0.5, ceiling=10.0) > 1  # 50 a second in quiet rounds, 10 allowed by memory


def test_short_calls_are_repeated_and_long_ones_do_not_use_up_the_time():
    clock = Clock()
    calls = dict.fromkeys(("short", "fair", "long", "endless"), 0)

    def counted(name, seconds):
        spend = clock.spend(seconds)

        def call():
            calls[name] += 1
            spend()

        return call

    times = timing.race(
        {
            "short": counted("short", 1e-6),
            "fair": counted("fair", 5e-3),
            "long": counted("long", 0.2),
            "endless": counted("endless", 30.0),
        },
        seconds=1.0,
        rounds=(5, 20),
        clock=clock,
    )
    assert times.median("short") == pytest.approx(1e-6)
    assert calls["short"] > 1000 * len(times.rounds["short"])
    assert calls["endless"] == 1 and times.rounds["endless"] == [30.0]
    assert 1 <= len(times.rounds["long"]) < 5 <= len(times.rounds["fair"])


def test_every_contestant_is_timed_after_every_other():
    order = []
    clock = Clock()

    def contestant(name):
        spend = clock.spend(0.01)
        return lambda: (order.append(name), spend())

    timing.race({n: contestant(n) for n in "abc"}, seconds=0.5, rounds=(6, 6), clock=clock)
    assert {("a", "b"), ("b", "c"), ("c", "a")} <= set(itertools.pairwise(order))
    firsts = [order[-3 * i - 3] for i in range(6)]
    assert set(firsts) == {"a", "b", "c"}


def test_every_op_has_a_benchmark():
    manifest = tomllib.loads((ROOT / "generators" / "manifest.toml").read_text())
    library = {op["name"] for op in nitrix.info()["ops"]}
    public = {name for name, entry in manifest["op"].items() if not entry.get("internal")}
    for op in public | library:
        assert op in benchmarks.BENCHMARKS, f"add op '{op}' to bench/benchmarks.py"
        assert benchmarks.BENCHMARKS[op].op == op


def test_every_cell_of_the_library_has_cases_a_limit_and_a_safe_peer():
    info = nitrix.info()
    cases = list(benchmarks.all_cases(info))
    assert len({case.name for case in cases}) == len(cases)
    measured = {(case.op, case.algebra, "uint8" if case.dtype == "bool" else case.dtype) for case in cases}
    cells = {(op["name"], a, d) for op in info["ops"] for a in op["algebras"] for d in op["dtypes"]}
    assert {(v["op"], v["algebra"], v["dtype"]) for v in info["variants"]} <= measured <= cells
    assert {op for op, _, _ in measured} == {op["name"] for op in info["ops"]}
    for _, algebra, _ in measured:
        assert algebra in limits.SEQUENCES
        assert any(peer.safe and algebra in peer.algebras for peer in peers.PEERS)


def test_an_op_without_a_benchmark_is_named():
    info = {"ops": [{"name": "semiring_unknown", "algebras": []}], "variants": []}
    with pytest.raises(KeyError, match=r"semiring_unknown.*bench/benchmarks\.py"):
        list(benchmarks.all_cases(info))


def tiny(algebra="real", shape=(5, 7, 3), **more):
    return benchmarks._product(algebra, "float32", "tiny", shape, **more)


@pytest.mark.parametrize("more", [{}, {"flip": "a"}, {"flip": "ab"}, {"batch": 3}], ids=str)
@pytest.mark.parametrize("algebra", [a["name"] for a in nitrix.info()["algebras"] if a["name"] != "boolean"])
def test_nitrix_and_its_peers_agree_on_a_tiny_case(algebra, more):
    row = measure.measure(nitrix, tiny(algebra, **more), limits=None, seconds=0.01)
    assert row.seconds > 0 and row.gops == pytest.approx(2 * 5 * 7 * 3 * more.get("batch", 1) / row.seconds / 1e9)
    assert row.variant in {v["id"] for v in nitrix.info()["variants"]}
    assert row.peers or row.absent
    assert all(peer.agrees for peer in row.peers.values()), row.peers
    if algebra == "real":
        assert "NumPy" in row.peers and row.ratio == min(peer.ratio for peer in row.peers.values())


def bound(value):
    def bind(problem):
        out = np.full_like(problem.out, np.nan)

        def call():
            np.matmul(problem.a, problem.b, out=out)
            out[...] += value

        return call, out

    return bind


def test_a_wrong_or_unsafe_peer_is_shown_but_never_the_one_to_beat(monkeypatch):
    def absent(problem):
        raise peers.Absent("not installed here")

    def elsewhere(problem):
        raise peers.DoesNotApply

    field = (
        peers.Peer("right", ("real",), bound(0)),
        peers.Peer("wrong", ("real",), bound(1)),
        peers.Peer("risky", ("real",), bound(0), safe=False),
        peers.Peer("missing", ("real",), absent),
        peers.Peer("elsewhere", ("real",), elsewhere),
        peers.Peer("asked for", ("real",), bound(0), optional="torch"),
    )
    monkeypatch.setattr(measure, "PEERS", field)
    row = measure.measure(nitrix, tiny(), limits=None, seconds=0.01)
    assert set(row.peers) == {"right", "wrong", "risky"}
    assert row.absent == {"missing": "not installed here"}
    assert row.best_peer == "right" and row.ratio == row.peers["right"].ratio
    assert not row.peers["wrong"].agrees and row.peers["risky"].agrees

    text = []
    report.Table(text.append, colour=False).add(row)
    assert "wrong DIFFERS" in "".join(text) and "missing absent" in "".join(text) and "\x1b" not in "".join(text)
    assert "absent peer missing: not installed here" in report.summary([row])
    assert "wrong DIFFERS" in report.summary([row])


def test_nan_in_one_result_alone_is_a_difference():
    one = np.ones(4, np.float32)
    assert measure.agrees(one, one * (1 + 1e-6), 1e-4)
    assert not measure.agrees(one, np.array([1, 1, 1, np.nan], np.float32), 1e-4)
    assert not measure.agrees(np.array([True]), np.array([False]), 1.0)


@pytest.mark.parametrize(
    "seconds, text",
    [(2.5, "2.50 s"), (0.0123, "12.3 ms"), (999e-6, "999 us"), (1.2e-7, "120 ns")],
)
def test_durations_read_well(seconds, text):
    assert report.duration(seconds) == text


@pytest.fixture(scope="module")
def probes():
    library = BUILD / "bench" / "libnitrix_limits.so"
    return limits.Limits(library, threads=1)


def test_the_limits_are_in_proportion(probes):
    for target in {name.rsplit("/", 1)[1] for name in probes.index}:
        rate = {s: probes.measure(f"{s}/float32/{target}", 0.05) for s in ("fma", "add_max", "sub_fma")}
        double = probes.measure(f"fma/float64/{target}", 0.05)
        assert 0.3 < double / rate["fma"] < 0.7  # half the lanes
        assert rate["add_max"] < 1.3 * rate["fma"] and rate["sub_fma"] < 1.3 * rate["fma"]
    assert probes.bandwidth(1 << 14) > probes.bandwidth(1 << 28) > 0


def test_a_limit_that_the_machine_lacks_is_named(probes):
    with pytest.raises(KeyError, match="fma/float16"):
        probes.name("fma", "float16")


@pytest.fixture(scope="module")
def limited_row(probes):
    return measure.measure(nitrix, tiny(shape=(64, 64, 64)), limits=probes, seconds=0.05)


def test_a_row_stays_below_its_limit(limited_row):
    assert 0 < limited_row.fraction < 1.2
    assert limited_row.limit_gops > limited_row.gops / 1.2


def test_a_product_of_memory_is_measured_against_memory():
    case = dataclasses.replace(tiny(), bytes=1e6, of_memory=True)
    fixed = types.SimpleNamespace(name=lambda *_: "fma", measure=lambda *_: 1e6, memory=lambda: 2.0)
    row = measure.measure(nitrix, case, limits=fixed, seconds=0.01)
    assert row.limit == "memory"
    assert row.limit_gops == 2.0 * case.operations / 1e6


def test_threads_share_memory(probes):
    together = limits.Limits(BUILD / "bench" / "libnitrix_limits.so", threads=2)
    assert 0 < together.memory() < 2.2 * max(probes.memory() for _ in range(3))  # one may be disturbed


def test_the_picture_is_drawn(limited_row, tmp_path):
    pytest.importorskip("matplotlib", reason="bench/requirements.txt brings it")
    picture.draw([dataclasses.replace(limited_row, size="64")], tmp_path / "bench.png", "caption")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_time_against_the_share_of_bad_entries_is_drawn(limited_row, tmp_path):
    pytest.importorskip("matplotlib", reason="bench/requirements.txt brings it")
    row = dataclasses.replace(limited_row, algebra="log", size="64 0.1 bad")
    picture.draw_shares([row, dataclasses.replace(row, size="64 1 bad")], tmp_path / "log.png", "caption")
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(picture.NothingToDraw):
        picture.draw_shares([row], tmp_path / "none.png", "caption")


@pytest.mark.parametrize("share", benchmarks.SHARES)
def test_that_share_of_the_entries_is_bad(share):
    """Where a row's maximum and a column's are far above their sum's largest term, exponentials of both never meet."""
    a, b = benchmarks._log_share("float32", 200, share).make(np.random.default_rng(0))
    largest = nitrix.semiring.semiring_matmul(a, b, semiring="tropical_max_plus")
    bad = a.max(1)[:, None] + b.max(0) - largest > 100
    assert bad.mean() == round(200 * share**0.5) ** 2 / 200**2
    exact = np.logaddexp.reduce(a[:3, :, None].astype(np.float64) + b[:, :5], axis=1)
    np.testing.assert_allclose(nitrix.semiring.semiring_matmul(a, b, semiring="log")[:3, :5], exact, rtol=1e-5)


def test_the_readme_table_is_replaced_between_its_marks(limited_row, tmp_path):
    rows = [
        dataclasses.replace(limited_row, op=op, algebra=algebra, dtype=dtype, size=size, seconds=0.0123)
        for op, algebra, dtype, size in report.README_ROWS
    ]
    begin, end = report.MARKS
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{begin}old\n{end}after\n")
    report.write_readme(readme, rows)
    text = readme.read_text()
    assert text.startswith(f"before\n{begin}") and text.endswith(f"{end}after\n") and "old" not in text
    assert text.count("12.3 ms") == len(rows)
    with pytest.raises(KeyError, match="was not measured"):
        report.write_readme(readme, rows[1:])
    (tmp_path / "other.md").write_text("no marks\n")
    with pytest.raises(ValueError, match="no table between"):
        report.write_readme(tmp_path / "other.md", rows)


def test_the_repositorys_readme_has_the_table():
    _, table = (ROOT / "README.md").read_text().split(report.MARKS[0])
    assert all(f"| {label} |" in table.split(report.MARKS[1])[0] for label in report.README_ROWS.values())
    names = {c.name for c in benchmarks.all_cases(nitrix.info()) if c.quick}
    assert {"/".join(key) for key in report.README_ROWS} <= names


def test_two_threads_are_raced_with_one(tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    results = tmp_path / "results.json"
    done = run("--only", "semiring_matmul/euclidean/float32/256$", "--threads", "2", "--seconds", "0.05", "--json",
               results, "--picture", tmp_path / "bench.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(results.read_text())["rows"]
    assert row["peers"]["nitrix on one thread"]["agrees"]


def run(*words):
    return subprocess.run(
        [sys.executable, ROOT / "bench" / "run.py", "--build", BUILD, *words],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_command_writes_a_table_and_json(tmp_path):
    results = tmp_path / "results.json"
    done = run("--only", "semiring_matmul/real/float32/64$", "--seconds", "0.02", "--json", results, "--picture",
               tmp_path / "bench.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "semiring_matmul  REAL  float32" in done.stdout
    data = json.loads(results.read_text())
    (row,) = data["rows"]
    assert row["name"] == "semiring_matmul/real/float32/64"
    assert row["peers"]["NumPy"]["agrees"] and row["fraction"] > 0
    assert data["machine"]["threads"] == 1 and data["machine"]["peers"]["numpy"] == np.__version__


@pytest.mark.parametrize(
    "words, message",
    [
        (("--only", "no_such_case"), "no case matches"),
        (("--only", "("), "--only"),
        (("--threads", "0"), "--threads"),
        (("--threads", "100000"), "cores"),
        (("--threads", "2", "--cpu-time"), "one thread"),
    ],
)
def test_bad_options_are_explained(words, message):
    done = run(*words)
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr


def test_list_names_the_cases():
    done = run("--only", "semiring_matmul/real/float32/64$", "--list")
    assert done.stdout.splitlines() == ["semiring_matmul/real/float32/64"]
