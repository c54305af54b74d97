"""Where the tests find the source tree and the build."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "schedules"), str(ROOT)]


@pytest.fixture(scope="session", autouse=True)
def saved_inputs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where calls that differ from their reference save their inputs, as many tests make them do."""
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The source tree."""
    return ROOT


@pytest.fixture(scope="session")
def build() -> Path:
    """The build that is under test; `./x test` names it, otherwise build/."""
    path = Path(os.environ.get("NITRIX_BUILD_DIR", ROOT / "build"))
    if not (path / "build.ninja").exists():
        pytest.fail(f"no build in {path}: run ./x build first")
    return path
