"""python -m nitrix: info, explain, verify, bench."""

import json
import os
import subprocess
import sys

import pytest


def tool(*words, **environment):
    command = [sys.executable, "-m", "nitrix", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_info():
    answer = json.loads(tool("info", "--json").stdout)
    assert answer["version"] and answer["variants"]
    assert "semiring_matmul (m,k),(k,n)->(m,n): " in tool("info").stdout


def test_explain_says_why():
    words = ("explain", "semiring_matmul", "--shape", "1000,777,333", "--algebra", "tropical_max_plus")
    answer = json.loads(tool(*words, "--json").stdout)
    assert answer["shapes"] == "(1000,333),(333,777)"
    assert sum(c["taken"] for c in answer["candidates"]) == 1
    lines = tool(*words).stdout.splitlines()
    assert lines[0].endswith(answer["chosen"])
    assert any(line.startswith("->\t" + answer["chosen"]) for line in lines), "tabs and no header in a pipe"
    named = tool("explain", "semiring_matmul", "--shape", "n=777,m=1000,k=333", "--json")
    assert json.loads(named.stdout)["shapes"] == answer["shapes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("explain", "product", "--shape", "1,2,3"), "there is no op 'product'; this build has"),
        (("explain", "semiring_matmul", "--shape", "1,2"), "must be the sizes of m,n,k"),
        (("explain", "semiring_matmul", "--shape", "1,2,3", "--algebra", "x"), "unknown algebra 'x'"),
    ],
)
def test_mistakes_are_one_sentence(words, message):
    result = tool(*words)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr


def test_verify_compares_every_variant():
    result = tool("verify", "--match", "real/f32", "--json")
    answers = json.loads(result.stdout)
    assert result.returncode == 0 and answers
    assert all(a["shapes"] and not a["problem"] for a in answers)
    assert tool("verify", "--match", "nonesuch").returncode == 1, "nothing compared is no success"


def test_bench_times_variants():
    answers = json.loads(tool("bench", "--shape", "40,40,40", "--algebra", "real", "--rounds", "2", "--json").stdout)
    assert answers and all(a["seconds"] > 0 for a in answers)
