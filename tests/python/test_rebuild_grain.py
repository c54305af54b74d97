"""Touching one schedule file rebuilds the variants of its target and no others."""

import re
import subprocess
from pathlib import Path

import pytest


def build_variants(build: Path) -> dict[str, int]:
    """Brings the variants up to date; the time of each object."""
    ninja = re.search(r"^CMAKE_MAKE_PROGRAM:\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.M).group(1)
    subprocess.run([ninja, "-C", build, "nitrix_variants"], check=True, capture_output=True)
    return {path.stem: path.stat().st_mtime_ns for path in (build / "variants").glob("nitrix_*.o")}


@pytest.mark.parametrize("target", ["sse41", "avx2", "avx512"])
def test_touching_a_schedule_rebuilds_its_target_alone(root, build, target):
    before = build_variants(build)
    (root / "schedules" / f"{target}.cpp").touch()
    after = build_variants(build)
    rebuilt = {symbol for symbol in after if after[symbol] != before.get(symbol)}
    assert rebuilt == {symbol for symbol in after if symbol.endswith(f"_{target}")}
    assert rebuilt
