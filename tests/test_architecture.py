"""The rules of nbtransfer/README.md, checked on the source: imports, sizes, names, public ones."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import nbtransfer

PACKAGE = Path(nbtransfer.__file__).parent

# Lowest first; a module imports from its own layer and those before it. The longest prefix decides.
LAYERS = (
    ("errors", "settings", "panels.markup", "runs.faults", "tasks.metric_words", "data.windows"),
    ("choices", "spec", "keywords", "commandline", "runs.paths", "runs.files"),
    ("data", "models"),
    ("tasks",),
    ("planning", "plan_checks", "language_plan", "advice", "estimates", "hardware"),
    ("runs",),
    ("plots",),
    ("engine",),
    ("jobs", "answers", "gauge", "adaptation"),
    ("api",),
    ("panels", "demo"),
    ("magics",),
    ("bench",),
    ("headless",),
    ("cli",),
)
HOT = (
    "engine",
    "bench.alone",
    "bench.contestants",
    "bench.random_model",
    "data.encode",
    "models.load",
    "models.lora",
    "models.gguf",
    "models.first_token",
    "models.freezing",
    "models.vocabulary",
    "models.packing",
    "models.packed_attention",
)
VIEW = ("panels", "magics")
COLD_AMONG_VIEW = ("panels.markup",)

# What may be loaded besides the standard library: by a module itself, and by its functions.
COLD_LATE = {"numpy", "pandas", "pyarrow", "tokenizers", "huggingface_hub", "sklearn"}
COLD_LATE |= {"psutil", "datasets", "seqeval", "sacrebleu", "rouge_score"}
NOTEBOOK_TOOLS = {"nbclient", "nbformat", "nbconvert", "traitlets", "IPython"}
LATE_EXTRA = {
    "plots": {"plotly", "matplotlib", "PIL"},
    "headless": NOTEBOOK_TOOLS,
    "api": {"IPython"},
}
WIDGETS = {"IPython", "ipywidgets", "plotly", "traitlets"}
VIEW_LATE = COLD_LATE | WIDGETS | {"zmq", "tornado", "ipykernel"}
MAGICS_AT_LOAD = {"IPython", "traitlets"}  # %load_ext must stay under 50 ms
HEAVY = {"torch", "transformers", "accelerate"}
HOT_ANY = COLD_LATE | HEAVY | {"datasets", "safetensors", "matplotlib", "plotly", "peft"}

# (importer, imported): upward or across on purpose, inside a function, each for the reason given.
NAMED_EXCEPTIONS = {
    ("api", "panels"): "finetune shows its panel while it waits",
    ("api", "models.load"): "load_model hands out a torch model",
    ("runs.run", "api"): "run.resume() and run.show() are api calls under another name",
}
BROAD_EXCEPT = {
    "engine/worker.py": "the worker's top level turns any failure into run_failed",
    "panels/follower.py": "a panel's thread shows its error in the panel",
    "panels/live_controls.py": "private kernel interfaces may change under us",
    "panels/kernel_questions.py": "private kernel interfaces, as above",
    "panels/setup_panel.py": "a widget callback shows its error in the form",
    "panels/run_panel.py": "a widget callback shows its error in the panel",
}


class Import(NamedTuple):
    target: str
    at_load: bool
    line: int


def module_name(path: Path) -> str:
    """The name below nbtransfer: `runs.paths`; a package is named like its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(p for p in PACKAGE.rglob("*.py"))
MODULES = {module_name(path): path for path in FILES}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(tree: ast.Module) -> list[Import]:
    """Every import that can happen at run time, inside functions too."""
    found: list[Import] = []

    def visit(node: ast.AST, at_load: bool) -> None:
        if is_type_checking(node):
            return
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, at_load, node.lineno) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports are not used here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("nbtransfer.") in MODULES
                found.append(Import(whole if is_module else str(node.module), at_load, node.lineno))
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, at_load and not inside)

    visit(tree, True)
    return found


IMPORTS = {name: imports_of(tree) for name, tree in TREES.items() if name}


def below(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def kind(name: str) -> str:
    if below(name, *HOT):
        return "hot"
    return "view" if below(name, *VIEW) and name not in COLD_AMONG_VIEW else "cold"


def layer(name: str) -> int:
    found = [(len(p), i) for i, prefixes in enumerate(LAYERS) for p in prefixes if below(name, p)]
    assert found, f"nbtransfer.{name} is in no layer: give it one in LAYERS"
    return max(found)[1]


def own(target: str) -> str | None:
    """The name below nbtransfer that an import goes to, or None for anything else's module."""
    return target.removeprefix("nbtransfer").lstrip(".") if below(target, "nbtransfer") else None


def is_exception(name: str, imported: str, found: Import) -> bool:
    return not found.at_load and any(
        below(name, a) and below(imported, b) for a, b in NAMED_EXCEPTIONS
    )


def outside_allowed(name: str, at_load: bool) -> set[str]:
    if kind(name) == "hot":
        return HOT_ANY
    if kind(name) == "view":
        if below(name, "magics") and at_load:
            return MAGICS_AT_LOAD
        return WIDGETS if at_load else VIEW_LATE
    extra = next((v for k, v in LATE_EXTRA.items() if below(name, k)), set())
    return set() if at_load else COLD_LATE | extra


@pytest.mark.parametrize("name", IMPORTS)
def test_module_imports_only_what_its_half_may(name):
    wrong = []
    for found in IMPORTS[name]:
        imported = own(found.target)
        top = found.target.split(".")[0]
        where = f"line {found.line} imports {found.target}"
        if imported is None:
            if top not in sys.stdlib_module_names | outside_allowed(name, found.at_load):
                when = "when it loads" if found.at_load else "inside a function"
                wrong.append(f"{where} {when}; nbtransfer.{name} is {kind(name)}")
        elif imported and not is_exception(name, imported, found):
            pair = (kind(name), kind(imported))
            # demo and cli show what they made; everything else cold stays clear of both halves.
            if pair in {("view", "hot"), ("hot", "view"), ("cold", "hot")} or (
                pair == ("cold", "view") and layer(name) < layer("panels")
            ):
                wrong.append(f"{where}: {pair[0]} must not import {pair[1]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", IMPORTS)
def test_module_imports_nothing_from_a_higher_layer(name):
    wrong = [
        f"line {found.line} imports nbtransfer.{imported}"
        for found in IMPORTS[name]
        if (imported := own(found.target))
        and layer(imported) > layer(name)
        and not is_exception(name, imported, found)
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_have_no_cycle():
    graph = {
        name: {
            imported
            for found in IMPORTS[name]
            if (imported := own(found.target)) in MODULES
            and imported not in ("", name)
            and not is_exception(name, str(imported), found)
        }
        for name in IMPORTS
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in sorted(graph.get(name, ())):
                walk(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        walk(name, ())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_file_has_at_most_400_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_file_says_what_it_owns(path):
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring and docstring.splitlines()[0].endswith((".", ":")), "no first sentence"


def test_no_module_has_a_name_that_says_nothing():
    banned = {
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "misc",
        "manager",
        "base",
        "core",
        "tools",
    }
    assert not [name for name in MODULES if banned & set(name.split("."))]


def test_no_submodule_of_the_root_hides_a_public_name():
    submodules = {name for name in MODULES if name and "." not in name}
    assert not submodules & set(nbtransfer.__all__)


@pytest.mark.parametrize("name", nbtransfer._HOME)
def test_public_name_is_where_the_root_says(name):
    home = nbtransfer._HOME[name]
    assert hasattr(importlib.import_module(home), name)
    assert getattr(nbtransfer, name) is getattr(importlib.import_module(home), name)


def test_root_lists_its_public_names_and_refuses_others():
    assert set(nbtransfer.__all__) <= set(dir(nbtransfer)) | {"load_ipython_extension"}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nbtransfer.no_such_name


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if name])
def test_names_in_all_exist(name):
    listed = [
        [element.value for element in node.value.elts if isinstance(element, ast.Constant)]
        for node in TREES[name].body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "__all__"
        and isinstance(node.value, (ast.List, ast.Tuple))
    ]
    if not listed:
        return
    defined = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    assert set(listed[0]) <= defined


def is_broad(node: ast.AST) -> bool:
    """`except:`, `except Exception` and their like, and contextlib.suppress of the same.

    One that tidies up and raises again hides nothing.
    """
    broad = {"Exception", "BaseException"}
    if isinstance(node, ast.ExceptHandler):
        if isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None:
            return False
        types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        return any(t is None or (isinstance(t, ast.Name) and t.id in broad) for t in types)
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and any(isinstance(a, ast.Name) and a.id in broad for a in node.args)
    )


@pytest.mark.parametrize("name", TREES)
def test_broad_except_stands_only_in_the_four_named_places(name):
    path = str(MODULES[name].relative_to(PACKAGE))
    lines = [node.lineno for node in ast.walk(TREES[name]) if is_broad(node)]
    assert not lines or path in BROAD_EXCEPT, f"{path}, lines {lines}"


def strings_of(tree: ast.Module) -> list[tuple[int, str]]:
    """Every string in the code with its line; docstrings and other bare strings left out."""
    bare = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
    ]


@pytest.mark.parametrize(
    "name", [n for n in TREES if n != "panels.markup" and not below(n, "plots")]
)
def test_html_is_made_by_markup_only(name):
    element = re.compile(
        r"</[a-z]|<(div|span|p|b|i|a|table|t[rdh]|svg|style|script|pre|code|h[1-6])\b"
    )
    assert not [(line, text) for line, text in strings_of(TREES[name]) if element.search(text)]


@pytest.mark.parametrize("name", [n for n in TREES if not below(n, "runs")])
def test_file_names_of_a_run_folder_are_spelled_in_runs_only(name):
    files = {"spec.json", "plan.json", "process.json", "control.json", "events.jsonl", "worker.log"}
    files |= {"request.json", "report.json", "predictions.parquet", "inputs.parquet"}
    found = [(line, text) for line, text in strings_of(TREES[name]) if text.split("/")[-1] in files]
    assert not found


@pytest.mark.parametrize("name", TREES)
def test_nothing_is_pickled_or_evaluated(name):
    banned = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    wrong = [f.target for f in imports_of(TREES[name]) if f.target.split(".")[0] in banned]
    wrong += [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call)
        and (
            ast.unparse(node.func) in {"eval", "exec", "input", "os.system"}
            or any(k.arg == "shell" for k in node.keywords)
        )
    ]
    assert not wrong


def test_the_rules_can_fail():
    tree = ast.parse("import torch\ndef f():\n    from transformers import AutoModel\n")
    assert [(f.target, f.at_load) for f in imports_of(tree)] == [
        ("torch", True),
        ("transformers", False),
    ]
    assert kind("models.load") == "hot" and kind("panels.markup") == "cold"
    assert layer("runs.paths") < layer("data") < layer("runs.run")
    assert not {"torch"} & outside_allowed("planning", at_load=False)
    broad = ast.parse("try:\n    pass\nexcept Exception:\n    pass").body[0]
    assert isinstance(broad, ast.Try) and is_broad(broad.handlers[0])
