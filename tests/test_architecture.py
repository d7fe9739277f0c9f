"""Who may import whom, how long things are, and what the package promises by name."""

import ast
import itertools
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import rnngrad

ROOT = Path(rnngrad.__file__).parent
FILES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# Lowest first; parts on one line do not know each other.
LAYERS = [
    {"errors", "breaches", "malloc"},
    {"tree", "spec", "result"},
    {"plain"},
    {"pair", "case"},
    {"cells", "numdiff"},
    {"check"},
    {"regress", "power", "search"},
    {"strategies", "report", "adapters"},
    {"pytest_baselines"},
    {"cli", "pytest_plugin"},
    {"__init__", "__main__"},
]

# What each part may import of the others.
MAY_IMPORT = {
    "errors": set(),
    "breaches": set(),
    "malloc": set(),
    "tree": set(),
    "spec": {"errors"},
    "result": {"report"},  # the one import upwards: its renderers, when called
    "plain": {"errors", "tree"},
    "pair": {"breaches", "errors", "plain", "spec", "tree"},
    "case": {"errors", "spec"},
    "cells": {"errors", "malloc", "pair", "spec"},  # its own arrays are held to the shapes that it declares
    "numdiff": {"errors", "result", "tree"},
    "adapters": {"errors", "pair"},
    "check": {"breaches", "case", "errors", "malloc", "numdiff", "pair", "result", "spec", "tree"},
    "power": {"case", "check", "errors", "pair", "result", "spec", "tree"},
    "regress": {"case", "check", "errors", "numdiff", "pair", "result", "spec", "tree"},
    "search": {"case", "errors"},
    "strategies": {"case", "check", "errors", "pair", "power", "regress", "result", "search", "spec"},
    "report": {"result"},
    "cli": {"regress", "report"},
    "pytest_baselines": {"errors", "regress"},
    "pytest_plugin": {"case", "check", "errors", "pair", "pytest_baselines", "report", "strategies"},
    "__init__": {
        "adapters",
        "case",
        "check",
        "errors",
        "numdiff",
        "pair",
        "regress",
        "result",
        "spec",
        "strategies",
    },  # for type checkers only
    "__main__": {"cli"},
}

# What the modules of one part may import of each other, lowest first. Between those of any other part only cycles are
# forbidden.
WITHIN = {
    "cells": {
        "fit": set(),
        "memory": set(),
        "norm": set(),
        "product": {"memory", "norm"},
        "cell": {"product"},
        "sequence": {"cell", "fit", "memory", "norm", "product"},
        "rnn": {"cell", "fit", "sequence"},
        "lstm": {"cell", "sequence"},
        "gru": {"cell", "fit", "product", "sequence"},
        "stack": {"cell", "gru", "lstm", "sequence"},
        "segments": {"cell", "fit", "gru", "lstm", "sequence"},
        "layers": {"cell", "fit", "norm"},
        "loss": {"cell", "fit"},
        "init": {"cell"},
    },
    "check": {
        "contract": set(),
        "large": set(),
        "bits": {"contract", "large"},
        "stir": set(),
        "subject": {"bits", "contract", "large"},
        "rounding": {"stir", "subject"},
        "cotangents": {"contract"},
        "first": {"bits", "contract", "subject"},
        "alias": {"bits", "first", "subject"},
        "precision": {"subject"},
        "linear": {"contract", "cotangents", "large", "rounding", "subject"},
        "again": {"alias", "contract", "cotangents", "first", "linear", "subject"},
        "nearby": {"contract", "large", "stir", "subject"},
        "interleaved": {"again", "alias", "contract", "first", "nearby", "subject"},
        "layout": {"linear", "rounding", "subject"},
        "optional": {"rounding", "subject"},
        "batch": {"contract", "rounding", "stir", "subject"},
        "rows": {
            "again",
            "alias",
            "batch",
            "first",
            "interleaved",
            "layout",
            "optional",
            "precision",
            "subject",
        },
        "protocol": set(),
        "breached": {"precision"},
        "replay": set(),
        "tally": set(),
        "forward": set(),
        "plateau": set(),
        "witness": {"plateau"},
        "compare": {"plateau", "witness"},
        "stochastic": set(),
        "extended": {"forward", "stochastic"},
        "point": {"extended", "forward"},
        "trust": set(),
        "certificate": {"point", "trust"},
        "question": {"compare", "extended", "point"},
        "narrow": {"compare", "contract", "point", "question", "stochastic"},
        "directed": {"certificate", "compare", "point", "question"},
        "locate": {"certificate", "compare", "directed", "point", "question"},
        "explain": {"compare"},
        "verdict": {"compare", "contract", "directed", "explain", "locate", "point"},
        "plan": {"contract", "narrow", "rows"},
        "sweep": {"certificate", "directed", "locate", "plan", "point", "verdict"},
        "claims": {"point"},
        "dual": {"claims", "compare", "contract", "point", "question", "sweep"},
        "prepare": {"bits", "claims", "contract", "first", "forward", "plan", "point", "rows", "subject"},
        "jacobian": set(),
        "words": set(),
        "activation": set(),
        "diagnose": set(),
        "scene": {"claims", "contract", "point"},
        "truth": {"certificate", "point", "question"},
        "neighbours": {"scene"},
        "constants": {"scene"},
        "view": {"compare", "scene", "truth"},
        "stage": {"contract", "scene", "truth", "view"},
        "calls": {"contract", "stage", "view"},
        "whole": {"constants", "scene", "stage", "view"},
        "conditions": {"contract", "scene", "stage"},
        "wording": {"scene", "stage", "view", "words"},
        "upstream": {"activation", "jacobian", "stage", "view", "words"},
        "shapes": {"stage", "view"},
        "products": {"stage", "view"},
        "spanned": {"stage", "view"},
        "sums": {"stage", "view", "words"},
        "moved": {"stage", "view", "words"},
        "partly": {"stage", "view", "whole"},
        "partner": {"activation", "stage"},
        "sizes": {"conditions", "contract", "scene", "stage"},
        "values": {"conditions", "contract", "scene", "stage"},
        "following": {"conditions", "stage", "words"},
        "elsewhere": {"conditions", "moved", "scene", "stage", "view"},
        "stages": {"moved", "scene", "stage", "truth", "view"},
        "others": {"conditions", "neighbours", "scene", "stage", "stages"},
        "steps": {"partly", "scene", "stage", "view"},
        "search": {
            "moved",
            "partly",
            "partner",
            "products",
            "calls",
            "shapes",
            "spanned",
            "stage",
            "steps",
            "sums",
            "upstream",
            "whole",
        },
        "report": {
            "breached",
            "conditions",
            "elsewhere",
            "following",
            "others",
            "calls",
            "scene",
            "search",
            "sizes",
            "stage",
            "stages",
            "upstream",
            "wording",
            "values",
        },
        "pipeline": {
            "breached",
            "claims",
            "compare",
            "dual",
            "narrow",
            "plan",
            "point",
            "prepare",
            "replay",
            "report",
            "scene",
            "sweep",
        },
        "asked": {"compare", "plan", "point", "prepare", "question", "sweep"},
        "assertion": {"pipeline", "tally"},
    },
    "regress": {
        "handed": set(),
        "run": {"handed"},
        "naming": set(),
        "side": {"run"},
        "response": {"run", "side"},
        "rounding": {"response", "side"},
        "arbiter": set(),
        "tensors": {"rounding", "side"},
        "equivalence": {"arbiter", "naming", "rounding", "run", "side", "tensors"},
        "atomic": set(),
        "recording": set(),
        "store": {"atomic", "recording"},
        "drawn": set(),
        "difference": {"recording", "store", "tensors"},
        "speed": {"naming", "run"},
        "command": {"difference", "drawn", "speed"},
        "baseline": {"arbiter", "drawn", "recording", "rounding", "run", "side", "store", "tensors"},
    },
    "numdiff": {
        "tableau": set(),
        "scale": set(),
        "noise": {"scale"},
        "sample": set(),
        "ladder": {"sample", "tableau"},
        "independent": {"ladder", "sample", "tableau"},
        "rows": set(),
        "confirm": {"independent", "ladder", "rows", "sample"},
        "gradient": {"independent", "ladder", "noise", "rows", "sample", "scale"},
        "directional": {"noise", "sample", "scale"},
        "complex_step": {"directional", "scale", "tableau"},
    },
}

# What is imported inside functions, and why: {module: {imported}}.
DELAYED = {
    "rnngrad.result": {
        "rnngrad.report.equivalence",
        "rnngrad.report.html",
        "rnngrad.report.json",
        "rnngrad.report.power",
        "rnngrad.report.text",
    },  # the stated exception
    "rnngrad.pytest_plugin": {  # it is loaded by every run of pytest, and costs nothing until a check runs
        "hypothesis",
        "hypothesis.errors",
        "rnngrad.case",
        "rnngrad.check.assertion",
        "rnngrad.check.pipeline",
        "rnngrad.errors",
        "rnngrad.pair",
        "rnngrad.report.summary",
        "rnngrad.strategies",
    },
    "rnngrad.pytest_baselines": {"rnngrad.errors", "rnngrad.regress.baseline", "rnngrad.regress.drawn"},
    "rnngrad.cli": {"pytest", "rnngrad.regress.command", "rnngrad.report.speed"},  # --help answers at once
}

# Which parts may import what is not in the standard library.
MAY_DEPEND = {
    "numpy": {
        *{"adapters", "case", "cells", "check", "malloc", "numdiff", "power", "regress", "result", "strategies", "tree"}
    },
    "hypothesis": {"strategies", "pytest_plugin"},
    "pytest": {"cli", "pytest_baselines", "pytest_plugin"},
}

LONGEST_FILE = 300
LONGEST_FUNCTION = 40  # without its docstring


def tree_of(module):
    """Return the syntax tree of a module."""
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def part(module):
    """Return the part that a module of ours belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def named(node):
    """Return the modules that one import statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert node.level == 0, "imports are absolute"
    whole = {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in whole if name in FILES} or {node.module}


def imports(tree):
    """Return all modules that a syntax tree imports."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return set().union(*map(named, nodes))


def delayed(tree):
    """Return the modules that are imported inside functions."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return set().union(*map(imports, functions))


def ours(names):
    """Return the modules of this package among the names."""
    return {name for name in names if name.split(".")[0] == "rnngrad"}


def length(function):
    """Return the number of lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def test_every_part_of_the_package_stands_in_the_table_and_in_one_layer():
    parts = {part(module) for module in FILES}
    assert parts == set(MAY_IMPORT)
    layered = list(itertools.chain(*LAYERS))
    assert parts <= set(layered)
    assert len(layered) == len(set(layered))


def test_the_table_only_points_downwards_but_for_the_renderers_of_a_report():
    height = {name: level for level, names in enumerate(LAYERS) for name in names}
    edges = {(name, other) for name, others in MAY_IMPORT.items() for other in others}
    upwards = {(name, other) for name, other in edges if height[other] >= height[name]}
    assert upwards == {("result", "report")}


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_what_the_table_allows(module):
    found = {part(name) for name in ours(imports(tree_of(module)))} - {part(module)}
    assert found <= MAY_IMPORT[part(module)]


def test_the_table_allows_nothing_that_nobody_needs():
    used = {name: set() for name in MAY_IMPORT}
    for module in FILES:
        used[part(module)] |= {part(name) for name in ours(imports(tree_of(module)))} - {part(module)}
    assert used == MAY_IMPORT


@pytest.mark.parametrize("name", WITHIN)
def test_the_modules_of_a_part_import_of_each_other_just_what_the_table_says(name):
    inside = {module.rpartition(".")[2]: module for module in FILES if module.startswith(f"rnngrad.{name}.")}
    imported = {short: ours(imports(tree_of(module))) for short, module in inside.items()}
    assert {short: {other for other in inside if inside[other] in found} for short, found in imported.items()} == (
        WITHIN[name]
    )


@pytest.mark.parametrize("name", WITHIN)
def test_the_table_of_a_part_points_downwards(name):
    order = list(WITHIN[name])
    edges = [(module, other) for module, others in WITHIN[name].items() for other in others]
    assert [edge for edge in edges if order.index(edge[1]) >= order.index(edge[0])] == []


@pytest.mark.parametrize("module", FILES)
def test_only_the_stated_imports_stand_inside_functions(module):
    assert delayed(tree_of(module)) == DELAYED.get(module, set())


def test_the_renderers_are_imported_by_three_methods_of_a_report_and_nowhere_else():
    tree = tree_of("rnngrad.result")
    (report,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Report"]
    methods = {node.name: imports(node) for node in report.body if isinstance(node, ast.FunctionDef)}
    assert {name for name, found in methods.items() if ours(found)} == {"__str__", "to_json", "to_html"}
    assert set().union(*methods.values()) == {"rnngrad.report.text", "rnngrad.report.json", "rnngrad.report.html"}


@pytest.mark.parametrize("module", FILES)
def test_what_is_not_in_the_standard_library_is_imported_only_by_those_who_may(module):
    foreign = {name.split(".")[0] for name in imports(tree_of(module))} - sys.stdlib_module_names - {"rnngrad"}
    assert {name for name in foreign if part(module) not in MAY_DEPEND.get(name, set())} == set()


def test_hypothesis_is_imported_at_the_top_of_strategies_only():
    at_top = {module for module in FILES if "hypothesis" in {name.split(".")[0] for name in at_import(module)}}
    assert at_top == {"rnngrad.strategies"}


def at_import(module):
    """Return the modules that importing a module imports, those for type checkers left out."""
    tree = tree_of(module)
    typing = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    tree.body = [node for node in tree.body if node not in typing]
    return imports(tree) - delayed(tree)


def test_importing_the_package_alone_imports_none_of_its_modules():
    assert ours(at_import("rnngrad")) == set()


def test_there_are_no_import_cycles():
    graph = {module: ours(at_import(module)) for module in FILES}
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(FILES)


@pytest.mark.parametrize("module", FILES)
def test_a_file_is_short(module):
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("module", FILES)
def test_every_function_is_short(module):
    functions = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {function.name: length(function) for function in functions if length(function) > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("module", FILES)
def test_nothing_is_printed_by_the_library(module):
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if isinstance(call, ast.Name) and call.id == "print"] == []


@pytest.mark.parametrize("module", sorted(set(FILES) - {"rnngrad.__main__"}))
def test_a_module_says_what_it_is_and_what_it_offers(module):
    tree = tree_of(module)
    assert ast.get_docstring(tree)
    names = {target.id for node in tree.body for target in targets(node)}
    assert "__all__" in names or len(tree.body) == 1


def targets(node):
    """Return the names that a statement assigns to."""
    if isinstance(node, ast.Assign):
        return [target for target in node.targets if isinstance(target, ast.Name)]
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def test_every_public_name_resolves_and_nothing_else_does():
    assert {name for name in rnngrad.__all__ if getattr(rnngrad, name, None) is None} == set()
    assert set(rnngrad.PUBLIC) == set(rnngrad.__all__)
    with pytest.raises(AttributeError, match="module 'rnngrad' has no attribute 'nothing'"):
        rnngrad.nothing  # noqa: B018  (looking it up is the test)


def test_type_checkers_see_the_same_names_as_users():
    (block,) = [node for node in tree_of("rnngrad").body if isinstance(node, ast.If)]
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == rnngrad.PUBLIC


ORDERS = [
    "",
    "import rnngrad.pair, rnngrad.check.pipeline",
    "import rnngrad.check; rg.check; import rnngrad.pair; rg.pair",
    "rg.pair; rg.check; import rnngrad.check.pipeline; import rnngrad.pair",
    "from rnngrad.check.tally import count; import rnngrad.strategies; import rnngrad.pytest_plugin",
    "from rnngrad import check, pair; import rnngrad.cells.rnn",
    "import importlib, sys, rnngrad.pair; importlib.reload(sys.modules['rnngrad.pair'])",
    "import rnngrad.case, rnngrad.cells.rnn, rnngrad.cli; from rnngrad import *",
]


def test_pair_and_check_stay_functions_whatever_is_imported_and_when():
    code = """
import sys, types
import rnngrad as rg
exec(sys.argv[1])
for name in rg.PUBLIC:
    value = getattr(rg, name)
    assert not isinstance(value, types.ModuleType) and value.__name__ == name, name
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", code, order], stderr=subprocess.PIPE, text=True) for order in ORDERS
    ]
    failed = {order: run.communicate()[1] for order, run in zip(ORDERS, runs, strict=True)}
    assert {order: error for order, error in failed.items() if error} == {}
