"""Touching one schedule file rebuilds the variants of its target and no others."""

import os
import re
import subprocess
from pathlib import Path

import pytest


def stale_variants(build: Path) -> set[str]:
    """What the next build would compile again, by ninja's dry run: to compile it takes minutes."""
    ninja = re.search(r"^CMAKE_MAKE_PROGRAM:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.M).group(1)
    # Under its own name ninja would first want to make the file again, and a dry run stops there.
    (build / "dry_run.ninja").write_text((build / "build.ninja").read_text())
    command = [ninja, "-C", build, "-f", "dry_run.ninja", "-n", "nitrix_variants"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(re.findall(r"\bVariant (nitrix_\w+)", run.stdout))


@pytest.mark.parametrize("target", ["sse41", "avx2", "avx512"])
def test_touching_a_schedule_rebuilds_its_target_alone(root, build, target):
    every = {path.stem for path in (build / "variants").glob("nitrix_*.o")}
    assert not stale_variants(build), "build first: ./x build"
    schedule = root / "schedules" / f"{target}.cpp"
    before = schedule.stat()
    try:
        schedule.touch()
        rebuilt = stale_variants(build)
    finally:
        os.utime(schedule, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rebuilt == {symbol for symbol in every if symbol.endswith(f"_{target}")}
    assert rebuilt
