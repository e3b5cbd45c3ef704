"""The version is written once, in minigan/__init__.py; the distribution and the changelog follow it."""

import ast
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import minigan as mg

ROOT = Path(__file__).parent.parent


def test_pyproject_takes_the_version_from_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in settings["project"] and settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "minigan.__version__"}


def test_it_is_a_literal_that_a_build_reads_without_importing_numpy():
    tree = ast.parse((ROOT / "minigan" / "__init__.py").read_text(encoding="utf-8"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign)
              and [getattr(target, "id", "") for target in node.targets] == ["__version__"]]
    assert [ast.literal_eval(value) for value in values] == [mg.__version__]


def test_the_installed_distribution_has_it():
    try:
        installed = importlib.metadata.version("minigan")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("minigan is not installed here but found on the path: there is no distribution to compare with")
    assert installed == mg.__version__, "installed before the version changed: run `pip install -e .` again"


def test_the_changelog_begins_with_unreleased_changes_then_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[([^\]]+)\]", text, re.M)[:2] == ["Unreleased", mg.__version__]
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}  # keepachangelog.com, 1.1.0
