"""Python programs in processes of their own, for what the library reads from its environment once."""

import os
import subprocess
import sys


def output_of(code: str, environment: dict[str, str]) -> str:
    """What a program prints in this process's environment with some variables changed."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    run = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    return run.stdout
