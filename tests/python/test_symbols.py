"""The archive's global symbols: the C functions of the headers and nothing else."""

import re
import subprocess


def test_only_the_c_functions_are_global(root, build):
    listing = subprocess.run(
        ["nm", "--extern-only", "--defined-only", build / "libnitrix.a"], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in listing.splitlines() if len(line.split()) == 3}
    headers = [root / "runtime/include/nitrix/nitrix.h", build / "generated/include/nitrix/nitrix_ops.h"]
    declared = {name for h in headers for name in re.findall(r"^NITRIX_API [^(]*?(nitrix_\w+)\(", h.read_text(), re.M)}
    assert "nitrix_semiring_matmul" in declared
    assert names == declared
