"""The structure of the project: imports point down and form no circle, and minigan/ has few modules at its top.

Every import counts, wherever it is: at the top of a file, in a function, under TYPE_CHECKING.
"""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STOREYS = (  # the top of the house first; the rooms of one storey may use one another
    {"__main__"},
    {"commands"},
    {"teach"},
    {"run"},
    {"trainers"},
    {"data", "metrics", "report", "checkpoint"},
    {"models"},
    {"nn", "optim", "losses"},
    {"ops"},
    {"engine", "gradcheck", "random"},
    {"kernels"},
    {"errors"},  # the ground: errors, which every storey raises
)
HEIGHT = {room: -storey for storey, rooms in enumerate(STOREYS) for room in rooms} | {"": 1}  # "" is minigan itself
MOST_MODULES_AT_THE_TOP = 18


def modules(root=ROOT):
    """{name: path} of every module in minigan/ and kernels/, which is installed as minigan.kernels."""
    names = {}
    for folder, package in ((root / "minigan", ("minigan",)), (root / "kernels", ("minigan", "kernels"))):
        for path in sorted(folder.rglob("*.py")):
            inner = path.relative_to(folder).with_suffix("").parts
            names[".".join((*package, *(part for part in inner if part != "__init__")))] = path
    return names


def imports(paths):
    """{module: the modules it imports}; of `from minigan import ops`, that is minigan.ops, not minigan."""
    graph = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        graph[name] = targets(ast.parse(path.read_text("utf-8")), package, set(paths)) - {name}
    return graph


def targets(tree, package, names):
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            inner = {f"{source}.{alias.name}" for alias in node.names}
            imported |= inner if inner <= names else inner | {source}
    return imported & names


def circles(graph):
    """Strongly connected components of more than one module: sets of modules that import one another."""
    reach = {start: reachable(graph, start) for start in graph}
    parts = {frozenset({a, *(b for b in reach[a] if a in reach[b])}) for a in graph}
    return [sorted(part) for part in parts if len(part) > 1]


def reachable(graph, start):
    seen, todo = set(), [start]
    while todo:
        for name in graph[todo.pop()] - seen:
            seen.add(name)
            todo.append(name)
    return seen


def room(module):
    """`ops` of minigan.ops.conv, "" of minigan; a __main__ is a command, wherever it is."""
    parts = module.split(".")
    return "__main__" if parts[-1] == "__main__" else (*parts, "")[1]


def arrows_up(graph):
    """(module, what it imports from a higher storey)"""
    return sorted((a, b) for a in graph for b in graph[a] if HEIGHT[room(b)] > HEIGHT[room(a)])


@pytest.fixture(scope="module")
def graph():
    return imports(modules())


def test_every_room_has_its_storey(graph):
    assert {room(name) for name in graph} == set(HEIGHT)


def test_no_import_circle(graph):
    assert circles(graph) == []


def test_imports_point_down(graph):
    assert arrows_up(graph) == []


def test_only_mg_explain_and_its_command_import_what_is_for_teaching(graph):
    users = {a for a in graph for b in graph[a] if room(b) == "teach"} - {a for a in graph if room(a) == "teach"}
    assert users == {"minigan", "minigan.commands.explain"}


def test_errors_are_the_ground(graph):
    """Errors may be below the kernels, as they import nothing of the project."""
    assert graph["minigan.errors"] == set()


def test_the_kernels_have_never_heard_of_a_tensor(graph):
    assert {room(b) for a in graph if room(a) == "kernels" for b in graph[a]} <= {"kernels", "errors"}


def test_few_things_lie_at_the_top():
    top = [path.name for path in (ROOT / "minigan").iterdir()
           if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())]
    assert len(top) <= MOST_MODULES_AT_THE_TOP, sorted(top)


def test_a_circle_and_an_arrow_up_are_seen(tmp_path):
    """The reader of imports finds planted faults: in a function, under TYPE_CHECKING, as a submodule."""
    for name, text in {
        "minigan/__init__.py": "", "minigan/errors.py": "", "kernels/__init__.py": "from minigan.errors import E\n",
        "minigan/engine/__init__.py": "from minigan.engine import node, tensor\n",
        "minigan/engine/node.py": "if TYPE_CHECKING:\n    from minigan.engine.tensor import Tensor\n",
        "minigan/engine/tensor.py": "def f():\n    from minigan.engine import node\n    import minigan.ops\n",
        "minigan/ops/__init__.py": "import numpy\nfrom .. import kernels\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = imports(modules(tmp_path))
    assert circles(graph) == [["minigan.engine.node", "minigan.engine.tensor"]]
    assert arrows_up(graph) == [("minigan.engine.tensor", "minigan.ops")]
    assert graph["minigan.ops"] == {"minigan.kernels"}
