"""The project's command, ./x: what it says, what it remembers, and how it recovers. Nothing here needs the network."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

X = Path(__file__).resolve().parents[2] / "x"


@pytest.fixture
def x(tmp_path: Path) -> ModuleType:
    """A copy of ./x as a module, alone in a folder with requirements files."""
    copy = shutil.copy(X, tmp_path / "x")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "docs" / "examples").mkdir(parents=True)
    (tmp_path / "docs" / "examples" / "requirements.txt").write_text("")
    loader = importlib.machinery.SourceFileLoader("x_under_test", str(copy))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def call(folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, folder / "x", *words], capture_output=True, text=True, cwd=folder)


# ---- What it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_without_a_command_it_explains_itself_and_touches_nothing(tmp_path: Path, words: list[str]):
    shutil.copy(X, tmp_path / "x")
    result = call(tmp_path, *words)
    assert result.returncode == 0 and result.stderr == ""
    for command in ("demo", "test", "bench", "build", "lint", "clean"):
        assert re.search(rf"^  {command} +\w", result.stdout, re.MULTILINE), command
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_unknown_command_is_refused_with_the_nearest_one(tmp_path: Path):
    shutil.copy(X, tmp_path / "x")
    result = call(tmp_path, "tset")
    assert result.returncode == 2 and result.stdout == ""
    assert "`tset`" in result.stderr and "./x test" in result.stderr
    assert "demo, test, bench, sanitize, build, lint, clean" in call(tmp_path, "zzz").stderr


@pytest.mark.parametrize("command", ["test", "sanitize", "build", "lint", "clean"])
def test_each_command_explains_its_options(tmp_path: Path, command: str):
    shutil.copy(X, tmp_path / "x")
    result = call(tmp_path, command, "--help")
    assert result.returncode == 0 and f"./x {command}" in result.stdout


def test_an_old_python_reads_one_sentence(x: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys):
    for version in [(3, 9, 2), (3, 10, 14), (2, 7, 18)]:
        problem = x.python_problem(version)
        assert "3.11 or newer" in problem and ".".join(map(str, version)) in problem
        assert "apt-get install python3" in problem and "\n" not in problem
    assert x.python_problem((3, 11, 0)) is None and x.python_problem((3, 13, 5)) is None
    assert "no wheel for Python 3.14.1" in x.python_problem((3, 14, 1))
    ast.parse(X.read_text(), feature_version=(3, 7))  # an older one gets as far as that sentence

    monkeypatch.setattr(x, "python_problem", lambda: "too old.")
    assert x.main(["build"]) == 1
    assert capsys.readouterr().err == "x: too old.\n"


def test_what_debian_must_provide_is_named_in_one_sentence(x: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(x.shutil, "which", lambda name: None)
    monkeypatch.setattr(x.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(x.sysconfig, "get_paths", lambda: {"include": "/nowhere"})
    monkeypatch.setattr(x, "googletest_found", lambda: False)
    assert x.missing_packages() == ["g++", "python3-venv", "python3-dev"]
    assert x.main(["test"]) == 1
    error = capsys.readouterr().err
    assert "apt-get install g++ python3-venv python3-dev googletest" in error and error.count("\n") == 1
    assert not (x.ROOT / ".venv").exists()


def test_a_compiler_named_by_the_environment_is_the_one_looked_for(x: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    assert "g++" in x.missing_packages()
    monkeypatch.setenv("CXX", f"{sys.executable} -m64")
    assert "g++" not in x.missing_packages()


# ---- What it remembers -----------------------------------------------------------------------------------------------


@pytest.fixture
def commands(x: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of running, notes `venv`, `pip FILES` and `cmake WORDS`, and makes what they would make."""
    noted: list[str] = []

    def run(command: list, **_: object) -> None:
        words = [str(word) for word in command]
        if "venv" in words:
            noted.append("venv")
            shutil.rmtree(x.ROOT / ".venv", ignore_errors=True)
            (x.ROOT / ".venv" / "bin").mkdir(parents=True)
            (x.ROOT / ".venv" / "bin" / "python").touch()
        elif "pip" in words:
            files = [after for word, after in itertools.pairwise(words) if word == "-r"]
            noted.append("pip " + " ".join(str(Path(file).relative_to(x.ROOT)) for file in files))
        else:
            noted.append("cmake" + (" --fresh" if "--fresh" in words else ""))
            (x.ROOT / "build").mkdir(exist_ok=True)
            (x.ROOT / "build" / "build.ninja").touch()

    monkeypatch.setattr(x, "run", run)
    return noted


def taken(commands: list[str]) -> list[str]:
    """What was noted since the last look."""
    found = list(commands)
    commands.clear()
    return found


def test_a_second_run_installs_nothing(x: ModuleType, commands: list[str]):
    x.Venv(x.ROOT).ensure()
    assert taken(commands) == ["venv", "pip requirements.txt"]
    x.Venv(x.ROOT).ensure()
    assert taken(commands) == []


def test_other_pins_are_installed_into_the_same_venv(x: ModuleType, commands: list[str]):
    x.Venv(x.ROOT).ensure()
    taken(commands)
    (x.ROOT / "requirements.txt").write_text("numpy==2.4.6\n")
    x.Venv(x.ROOT).ensure()
    assert taken(commands) == ["pip requirements.txt"]


def test_extra_pins_are_installed_only_for_who_asks_and_again_when_the_base_changes(x: ModuleType, commands: list[str]):
    x.Venv(x.ROOT).ensure()
    taken(commands)
    x.Venv(x.ROOT).ensure(x.DEMO)
    assert taken(commands) == [f"pip {x.DEMO}"]
    x.Venv(x.ROOT).ensure(x.DEMO)
    assert taken(commands) == []
    (x.ROOT / "requirements.txt").write_text("numpy==2.4.6\n")
    x.Venv(x.ROOT).ensure(x.DEMO)
    assert taken(commands) == [f"pip requirements.txt {x.DEMO}"]


def test_an_interrupted_installation_starts_anew(x: ModuleType, commands: list[str], monkeypatch: pytest.MonkeyPatch):
    whole = x.run

    def interrupted(command: list, **options: object) -> None:
        if "pip" in map(str, command):
            raise KeyboardInterrupt
        whole(command, **options)

    monkeypatch.setattr(x, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        x.Venv(x.ROOT).ensure()
    taken(commands)
    monkeypatch.setattr(x, "run", whole)
    x.Venv(x.ROOT).ensure()
    assert taken(commands) == ["venv", "pip requirements.txt"]


@pytest.mark.parametrize("state", ["", "[]", "{", '{"layout": "python 3.8 in /elsewhere", "installed": {}}'])
def test_a_venv_of_another_place_or_half_made_starts_anew(x: ModuleType, commands: list[str], state: str):
    x.Venv(x.ROOT).ensure()
    taken(commands)
    x.Venv(x.ROOT).state_file.write_text(state)
    x.Venv(x.ROOT).ensure()
    assert taken(commands) == ["venv", "pip requirements.txt"]


def test_configures_only_what_changed(x: ModuleType, commands: list[str], monkeypatch: pytest.MonkeyPatch):
    (x.ROOT / "CMakePresets.json").write_text("{}")
    monkeypatch.setattr(x.Venv, "halide_dir", lambda self: Path("halide"))
    monkeypatch.delenv("CXX", raising=False)

    def configure(tests: bool = True) -> list[str]:
        x.Build(x.Venv(x.ROOT)).configure(tests)
        return taken(commands)

    assert configure() == ["cmake --fresh"]
    assert configure() == []
    assert configure(tests=False) == ["cmake"]  # objects are kept
    (x.ROOT / "CMakePresets.json").write_text('{"version": 6}')
    assert configure(tests=False) == ["cmake"]
    monkeypatch.setenv("CXX", "clang++")
    assert configure(tests=False) == ["cmake --fresh"]
    (x.ROOT / "build" / "build.ninja").unlink()
    assert configure(tests=False) == ["cmake"]


def test_a_real_venv_is_made_once_and_mended_when_broken(x: ModuleType):
    venv = x.Venv(x.ROOT)
    venv.ensure()
    version = [venv.python, "-c", "import sys; print(sys.prefix != sys.base_prefix)"]
    assert subprocess.run(version, capture_output=True, text=True, check=True).stdout == "True\n"
    made = venv.state_file.stat().st_mtime_ns
    venv.ensure()
    assert venv.state_file.stat().st_mtime_ns == made
    venv.python.unlink()
    venv.ensure()
    assert subprocess.run(version, capture_output=True, text=True, check=True).stdout == "True\n"
    assert set(json.loads(venv.state_file.read_text())) == {"layout", "installed"}


# ---- How it runs things ----------------------------------------------------------------------------------------------


def test_progress_in_a_pipe_is_a_line_every_few_percent_and_every_message(x: ModuleType):
    show = x.ninja_progress(every=10)
    shown = [show(f"[{done}/200] Building {done}") for done in range(1, 201)]
    lines = [line for line in shown if line]
    assert 10 <= len(lines) <= 12 and "200/200" in lines[-1] and lines[-1].startswith("[100 %]")
    for message in ("FAILED: a.o", "a.cpp:1:1: warning: unused", "ninja: build stopped: subcommand failed."):
        assert show(message) == message


def test_a_failing_command_is_named_with_its_kept_log(x: ModuleType, capfd: pytest.CaptureFixture):
    script = "print('[1/1] quiet'); print('an error'); raise SystemExit(3)"
    with pytest.raises(x.Failure, match=r"exit code 3.*build/logs/step\.log"):
        x.run([sys.executable, "-c", script], log="step", show=lambda line: None if line.startswith("[") else line)
    assert capfd.readouterr().out == "an error\n"
    assert "[1/1] quiet\nan error\n" in (x.ROOT / "build" / "logs" / "step.log").read_text()


@pytest.mark.parametrize(
    ("expression", "matches", "differs"),
    [
        ("strided", ["Matmul.StridedOperands", "strided"], ["Matmul.Zero"]),
        ("zero or STRIDED", ["Matmul.ZeroSize", "Strided"], ["Matmul.Odd"]),
        ("matmul/log", ["Semiring-Matmul/Log/f32"], ["matmul.log"]),
        ("a.b", ["A.b"], ["axb"]),
    ],
)
def test_k_picks_cpp_tests_as_pytest_would(x: ModuleType, expression: str, matches: list[str], differs: list[str]):
    pattern = x.ctest_pattern(expression)
    assert all(re.search(pattern, name) for name in matches)
    assert not any(re.search(pattern, name) for name in differs)


@pytest.mark.parametrize("expression", ["a and b", "not a", "(a)"])
def test_k_that_ctest_cannot_express_leaves_it_out(x: ModuleType, expression: str):
    assert x.ctest_pattern(expression) is None


def test_clean_removes_what_was_built_and_nothing_else(tmp_path: Path):
    shutil.copy(X, tmp_path / "x")
    for name in ("build", "build-asan", ".venv", "bindings"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    assert call(tmp_path, "clean").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x", ".venv", "bindings"}
    assert call(tmp_path, "clean", "--all").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x", "bindings"}
