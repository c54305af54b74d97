"""The inner loops of the compiled variants: vector arithmetic alone, every accumulator in a register."""

import re
import subprocess
from pathlib import Path

import pytest

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):(\t.*)$")
JUMP = re.compile(r"^\s+j\w+\s+([0-9a-f]+) <([^+]*)")
VECTOR = re.compile(
    r"^\s+v?(fmadd|fmsub|fnmadd|max|min|add|mul|sub|or|and)\w*p[sdq]?\b|^\s+vf(n?)m(add|sub)\w*p[sd]"
    r"|^\s+v?p(or|and|ternlog)[dq]?\b"
)
SCALAR = re.compile(r"^\s+v?(fn?m(add|sub)\w*|mul|add|sub|max|min|sqrt)s[sd]\b")
EXPONENT = re.compile(r"^\s+v?psll[dq]\b")
STORE = re.compile(r"%[xyz]mm\d+, *-?\w*\(%r[sb]p")
SPILL = re.compile(r"(?:%[xyz]mm\d+, *-?\w*\(%r[sb]p\)|-?\w*\(%r[sb]p\), *%[xyz]mm\d+)")


def spilled(body: list[str]) -> list[str]:
    """What a loop moves between vector registers and its frame. An rbp that the loop moves on is no frame's."""
    walks = any(re.match(r"^\s+(add|sub|inc|dec|lea)\w*\s.*%rbp\s*$", x) for x in body)
    return [x for x in body if SPILL.search(x) and not (walks and "(%rbp" in x)]


def disassembly(path: Path) -> str:
    said = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True)
    return said.stdout


def innermost_loops(assembly: str) -> list[list[str]]:
    """The bodies of the loops that contain no other loop."""
    lines, places, function = [], {}, ""
    for line in assembly.splitlines():
        if m := FUNCTION.match(line):
            function = m.group(1)
        elif m := INSTRUCTION.match(line):
            places[function, m.group(1)] = len(lines)
            lines.append(m.group(2))
    spans = []
    for end, line in enumerate(lines):
        m = JUMP.match(line)
        begin = places.get((m.group(2).rstrip(">"), m.group(1)), end) if m else end
        if begin < end:
            spans.append((begin, end))
    return [lines[a : b + 1] for a, b in spans if not any(a <= c and d < b for c, d in spans if (c, d) != (a, b))]


def hottest(assembly: str) -> list[str]:
    """The innermost loop with the most vector arithmetic; LOG's packing, whose exp shifts exponents, is none."""
    loops = [body for body in innermost_loops(assembly) if not any(EXPONENT.match(x) for x in body)]
    return max(loops, key=lambda body: sum(bool(VECTOR.match(x)) for x in body), default=[])


def variants(build: Path, target: str) -> list[Path]:
    # The small form is scalar on purpose: it serves products that fill no vector register.
    files = (build / "variants").glob(f"nitrix_semiring_matmul_*_any_{target}.o")
    others = (
        "streamed",
        "entries",
        "refine",
        "log_operand",
        "log_weight",
        "log_terms",
        "log_sum",
        "merge",
        "finalize",
    )  # not of the family
    return sorted(p for p in files if not any(f"matmul_{name}_" in p.name for name in others))


@pytest.mark.parametrize("target", ["sse41", "avx2", "avx512"])
def test_inner_loops_have_no_scalar_arithmetic_and_no_spills(build, target):
    files = variants(build, target)
    assert files, f"no variants for {target}"
    for path in files:
        body = hottest(disassembly(path))
        # With a third operand LLVM takes the loop apart by columns: a loop for each few vectors.
        least = 3 if "_differences_" in path.name else 8
        assert sum(bool(VECTOR.match(x)) for x in body) >= least, f"{path.name}: no vector loop found"
        scalar = [x for x in body if SCALAR.match(x)]
        calls = [x for x in body if re.match(r"^\s+callq?\b", x)]
        spills = spilled(body)
        if "_differences_" in path.name:  # its third operand may stay in memory, which costs a load and no more
            spills = [x for x in spills if STORE.search(x)]
        assert not scalar, f"{path.name}: scalar arithmetic in the inner loop: {scalar[:3]}"
        assert not calls, f"{path.name}: a call in the inner loop: {calls[:3]}"
        assert not spills, f"{path.name}: the inner loop spills: {spills[:3]}"


@pytest.mark.parametrize("target", ["sse41", "avx2", "avx512"])
def test_rows_that_are_turned_stay_in_vectors(build, target):
    """Products of few columns. LLVM takes vectors apart where it thinks that their elements are stored one by one."""
    instructions = 0
    for path in sorted((build / "variants").glob(f"nitrix_semiring_matmul_*_unpacked_{target}.o")):
        function = ""
        for line in disassembly(path).splitlines():
            if m := FUNCTION.match(line):
                function = m.group(1)
            elif "_turned_" in function and (m := INSTRUCTION.match(line)):
                instructions += 1
                assert not SCALAR.match(m.group(2)), f"{path.name}: {line} in {function}"
    assert instructions


@pytest.mark.parametrize(("target", "register"), [("avx2", "ymm"), ("avx512", "zmm")])
def test_real_products_use_fused_multiply_add_of_full_width(build, target, register):
    for path in variants(build, target):
        if "_real_" not in path.name:
            continue
        fused = [x for x in hottest(disassembly(path)) if re.match(r"^\s+vfmadd\w*p[sd]", x)]
        assert fused and all(f"%{register}" in x for x in fused), f"{path.name}: {fused[:2]}"


def test_the_loop_finder_sees_a_spill_and_a_scalar():
    body = hottest(
        "0000000000000000 <f>:\n"
        "   0:\tvxorps %zmm0,%zmm0,%zmm0\n"
        "   6:\tvaddps %zmm0,%zmm1,%zmm2\n"
        "   c:\tvmovaps %zmm2,0x40(%rsp)\n"
        "  14:\tvfmadd231ss %xmm0,%xmm1,%xmm2\n"
        "  19:\tjne    6 <f+0x6>\n"
    )
    assert len(body) == 4 and spilled(body)


@pytest.mark.parametrize("target", ["sse41", "avx2", "avx512"])
def test_gathering_kernels_ask_memory_for_rows(build, target):
    """Requests are instructions of the kernel, into the nearest cache: for the lines of a row and, where a structure's
    rows are walked in another order than theirs, for two values."""
    values = {"rows": 2, "edge_rows": 2, "matmul": 0}
    files = [
        (path, 4 + count)
        for op, count in values.items()
        for algebra in ("real", "tropical_max_plus", "tropical_min_plus", "euclidean")
        for path in (build / "variants").glob(f"nitrix_semiring_ell_{op}_{algebra}_*_{target}.o")
    ]
    assert {next(op for op in values if f"_ell_{op}_" in path.name) for path, _ in files} == set(values)
    for path, least in files:
        assembly = disassembly(path)
        assert len(re.findall(r"\tprefetcht0\b", assembly)) >= least, path.name
        assert "prefetchnta" not in assembly, path.name
