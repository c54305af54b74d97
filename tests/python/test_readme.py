"""The README's examples are the files that the tests build and run, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("language", "file"), [("python", "example.py"), ("c", "example.c"), ("cpp", "example.cpp")])
def test_examples_are_verbatim(language, file):
    shown = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown == [(ROOT / "docs" / "examples" / file).read_text()], f"copy docs/examples/{file} into README.md"


def test_links_lead_to_files():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
