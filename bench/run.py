#!/usr/bin/env python3
"""Measures nitrix beside the strongest peers and the machine's own limit, in one process on the same inputs.

./x bench                         everything, one thread, about ten minutes
./x bench --quick                 a few sizes, a few minutes
./x bench --only 'real/.*/1024$'  the cases whose name matches
./x bench --threads 2             two threads, and beside them nitrix on one
./x bench --quick --readme        what README.md shows: its table and docs/images/bench.png
NITRIX_TARGET=avx2 ./x bench      a lower target, against that target's limit
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", help="cases whose op/algebra/dtype/size matches")
    parser.add_argument("--quick", action="store_true", help="few sizes, little time each")
    parser.add_argument("--large", action="store_true", help="2048^3 too")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of everyone, one to a core (1)")
    parser.add_argument("--seconds", type=float, metavar="S", help="time for a case and its peers (1, quick 0.3)")
    parser.add_argument("--limit-seconds", type=float, default=1800, metavar="S", help="stop after this long (1800)")
    parser.add_argument("--cpu", type=int, metavar="N", help="first core to use (the last ones)")
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds: for a machine that others use too")
    parser.add_argument("--with", dest="optional", action="append", default=[], choices=["torch"], help="heavy peers")
    parser.add_argument(
        "--build", type=Path, default=ROOT / "build", metavar="DIR", help="the build to measure (build)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="results (DIR/bench/results.json)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="the picture (DIR/bench/bench.png)")
    parser.add_argument("--readme", action="store_true", help="renew README.md's table and docs/images/bench*.png")
    chosen = parser.parse_args(words)
    if chosen.threads < 1:
        parser.error("--threads must be 1 or more")
    if chosen.cpu_time and chosen.threads > 1:
        parser.error("--cpu-time adds up the time of all threads: it goes with one thread only")
    if chosen.only:
        try:
            re.compile(chosen.only)
        except re.error as error:
            parser.error(f"--only: {error}")
    chosen.seconds = chosen.seconds or (0.3 if chosen.quick else 1.0)
    if chosen.readme and (chosen.only or chosen.threads > 1):
        parser.error("--readme shows all algebras on one thread: leave --only and --threads out")
    chosen.picture = chosen.picture or (
        ROOT / "docs/images/bench.png" if chosen.readme else chosen.build / "bench" / "bench.png"
    )
    chosen.json = chosen.json or chosen.build / "bench" / "results.json"
    return chosen


def claim_cores(threads: int, first: int | None) -> list[int]:
    """Pins this process to `threads` cores and tells every library how many threads it has, before any is loaded."""
    allowed = sorted(os.sched_getaffinity(0))
    if threads > len(allowed):
        sys.exit(f"bench: --threads {threads}, but this process may use {len(allowed)} cores")
    start = len(allowed) - threads if first is None else allowed.index(first) if first in allowed else -1
    cores = allowed[start : start + threads] if start >= 0 else []
    if len(cores) < threads:
        sys.exit(f"bench: --cpu {first}: {threads} cores from there on are not among {allowed}")
    os.sched_setaffinity(0, cores)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NITRIX"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ["MKL_THREADING_LAYER"] = "SEQUENTIAL" if threads == 1 else "INTEL"
    # Threads that wait busily after a call would take a core from whoever is measured next.
    os.environ["OPENBLAS_THREAD_TIMEOUT"], os.environ["KMP_BLOCKTIME"] = "4", "0"
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # a peer at its best chooses for itself
        if held := os.environ.pop(name, None):
            print(f"bench: {name}={held} is left out, OpenBLAS chooses for itself", file=sys.stderr)
    return cores


def call_overhead(program: Path) -> list[dict]:
    """What calls cost through the C ABI, without Python: the Google Benchmark program's rows."""
    done = subprocess.run(
        [program, "--benchmark_format=json", "--benchmark_min_time=0.05"], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        sys.exit(f"bench: {program.name} failed: {done.stderr.strip()}")
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    rows = []
    for row in json.loads(done.stdout)["benchmarks"]:
        if row.get("error_occurred"):
            sys.exit(f"bench: {program.name}: {row['name']}: {row['error_message']}")
        seconds = row["real_time"] * scale[row["time_unit"]]
        rows.append({"name": row["name"], "seconds": seconds, "variant": row.get("label", "")})
    return rows


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def draw_pictures(rows: list, options: argparse.Namespace, machine: dict) -> None:
    """Those for which something was measured."""
    import picture  # after its folder is on the path

    where = f"{machine['cpu']}, {options.threads} thread{'s' * (options.threads > 1)}, float32"
    caption = f"Rate as a fraction of the machine's own limit ({where})"
    shares = options.picture.with_stem(f"{options.picture.stem}_log")
    for draw, path, title in ((picture.draw, options.picture, caption), (picture.draw_shares, shares, where)):
        try:
            draw(rows, path, title)
            print(f"picture: {path}")
        except picture.NothingToDraw as reason:
            if options.readme:
                sys.exit(f"bench: {reason}")
        except ImportError as error:  # matplotlib, which tests go without
            print(f"bench: no picture: {error}", file=sys.stderr)
            return


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    cores = claim_cores(options.threads, options.cpu)
    if (options.build / "python").is_dir():
        sys.path.insert(0, str(options.build / "python"))
    try:
        import nitrix
    except ImportError as error:
        sys.exit(f"bench: {error}; build it first: ./x build")
    import peers
    import report
    from benchmarks import all_cases
    from limits import Limits
    from measure import measure

    info = nitrix.info()
    cases = [
        case
        for case in all_cases(info)
        if (re.search(options.only, case.name) if options.only else case.quick if options.quick else True)
        and (options.large or options.only or not case.large)
    ]
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases:
        sys.exit(f"bench: no case matches '{options.only}'; --list prints them")

    target = os.environ.get("NITRIX_TARGET")
    try:
        limits = Limits(options.build / "bench" / "libnitrix_limits.so", options.threads)
        if target not in (None, *{name.rsplit("/", 1)[1] for name in limits.index}):
            target = None  # naive, say: the machine's own limit then
    except FileNotFoundError as error:
        limits = None
        print(f"bench: no fraction of the machine's limit: {error}", file=sys.stderr)
    machine = {
        "cpu": cpu_name(),
        "cores": cores,
        "threads": options.threads,
        "nitrix": info["version"],
        "target": target or "this machine's",
        "peers": peers.versions(options.threads),
        "clock": "CPU seconds" if options.cpu_time else "wall clock",
        "load_before": os.getloadavg()[0],
        "limits": limits.all() if limits else None,
    }
    print(f"{machine['cpu']}, {options.threads} thread{'s' * (options.threads > 1)} on core {cores}, "
          f"nitrix {info['version']}, {machine['clock']}, load {machine['load_before']:.1f}")  # fmt: skip
    print(", ".join(f"{name} {text}" for name, text in machine["peers"].items()))
    print(report.LEGEND.rstrip())

    table = report.Table(sys.stdout.write, sys.stdout.isatty())
    progress = sys.stderr.isatty() and sys.stdout.isatty()
    rows, start = [], time.monotonic()
    for number, case in enumerate(cases, 1):
        if time.monotonic() - start > options.limit_seconds:
            print(f"\nstopped after {options.limit_seconds:.0f} s; not measured: {len(cases) - number + 1} cases, "
                  f"from {case.name} on (--limit-seconds)")  # fmt: skip
            break
        if progress:
            print(f"\x1b[2K[{number}/{len(cases)}] {case.name}", end="\r", file=sys.stderr, flush=True)
        row = measure(
            nitrix, case, limits=limits, target=target, threads=options.threads, seconds=options.seconds,
            optional=frozenset(options.optional), clock=time.process_time if options.cpu_time else time.perf_counter,
        )  # fmt: skip
        if progress:
            print("\x1b[2K", end="\r", file=sys.stderr, flush=True)
        rows.append(row)
        table.add(row)
        sys.stdout.flush()

    program = options.build / "bench" / "nitrix_call_overhead"
    if program.exists() and (not options.only or "call" in options.only):
        machine["c_abi"] = call_overhead(program)
        print("\nthrough the C ABI, per call")
        for call in machine["c_abi"]:
            print(f"{call['name']:<60}{report.duration(call['seconds']):>11}   {call['variant']}")
    print(f"\n{report.summary(rows)}")
    report.write_json(options.json, rows, machine)
    print(f"results: {options.json}")
    draw_pictures(rows, options, machine)
    if options.readme:
        report.write_readme(ROOT / "README.md", rows)
        print("table: README.md")
    return 1 if any(not peer.agrees for row in rows for peer in row.peers.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
