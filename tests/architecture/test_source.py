"""Rules about the source that neither ruff nor mypy can hold."""

import ast
import getpass
import re
import socket
from pathlib import Path

import pytest

import convstore
from tests.architecture.source import PACKAGE, ROOT, called, modules

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
# What passes a limit, and why it is better left whole.
LONGER: dict[str, str] = {}
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
RUNS_WHAT_IT_READS = {"eval", "exec", "compile", "os.system", "os.popen", "__import__"}
READS_THE_CLOCK = re.compile(
    r"(.*\.)?(datetime|date)\.(now|utcnow|today)$|time\.(time|time_ns|gmtime|localtime)$"
)


def test_every_module_says_what_it_is() -> None:
    silent = [path for path, tree in modules().items() if not ast.get_docstring(tree)]

    assert silent == []


def test_no_module_is_long() -> None:
    """Comments and docstrings do not count: explaining is free."""
    lengths = {path: _code_lines(tree) for path, tree in modules().items()}
    long = {path: n for path, n in lengths.items() if n > MAX_MODULE_LINES}

    assert set(long) - set(LONGER) == set(), long


def _code_lines(tree: ast.Module) -> int:
    """Lines on which an expression or statement begins or ends."""
    numbers: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt) and not _is_docstring(node):
            numbers.update((node.lineno, node.end_lineno or node.lineno))
    return len(numbers)


def _is_docstring(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr) else node
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def test_no_function_is_long() -> None:
    """Signatures and docstrings do not count: explaining is free."""
    long = {
        f"{path}:{node.name}": _lines(node)
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _lines(node) > MAX_FUNCTION_LINES
    }

    assert set(long) - set(LONGER) == set(), long


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    explained = ast.get_docstring(function) is not None
    body = function.body[1:] if explained else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_modules_are_named_after_what_they_know() -> None:
    vague = [
        path
        for path in modules()
        if VAGUE & {Path(part).stem for part in Path(path).parts}
    ]

    assert vague == []


def test_one_place_asks_which_database_it_is() -> None:
    asking = [
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.search(r"dialect\.name$", ast.unparse(node))
    ]

    assert asking == ["convstore/db/dialects/__init__.py"]


def test_nothing_executes_what_it_reads() -> None:
    found = [
        (path, call)
        for path, made in called().items()
        for call in made
        if call in RUNS_WHAT_IT_READS
    ]

    assert found == []


def test_only_the_clock_knows_what_time_it_is() -> None:
    """Fresh ids begin with the machine's time, whatever the store's clock says."""
    knowing = {
        path
        for path, made in called().items()
        if any(READS_THE_CLOCK.match(call) for call in made)
    }

    assert knowing == {"convstore/vocabulary/clock.py", "convstore/vocabulary/ids.py"}


def test_no_module_names_this_machine() -> None:
    places = {str(ROOT), str(Path.home()), "/home/", "/Users/", "/root/"}
    names = {f"{getpass.getuser()}@", socket.gethostname() + "."}
    found = [
        (path, word)
        for path in modules()
        for word in places | names
        if word in (ROOT / path).read_text("utf-8")
    ]

    assert found == []


def test_public_names_are_sorted_and_exist() -> None:
    names = list(convstore.__all__)

    assert names == sorted(names)
    assert [name for name in names if not hasattr(convstore, name)] == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize("script", ["test", "check", "demo", "bench", "environment"])
def test_scripts_can_be_run_and_are_short(script: str) -> None:
    path = ROOT / "scripts" / script

    assert path.stat().st_mode & 0o111
    assert len(path.read_text("utf-8").splitlines()) <= 25


def test_no_statement_binds_a_list_as_so_many_values() -> None:
    """PostgreSQL takes 32,767 of them. A list is bound as one text, see
    `db/session_ids`; what is written out, or selected, is no list."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("in_", "not_in")
        and not _is_written_out(node.args[0], _selections(tree))
    ]

    assert found == []


def _is_written_out(given: ast.expr, selections: set[str]) -> bool:
    if isinstance(given, ast.Name):
        return given.id in selections
    if isinstance(given, ast.Tuple | ast.List):
        return not any(isinstance(each, ast.Starred) for each in given.elts)
    return _is_selection(given)


def _selections(tree: ast.Module) -> set[str]:
    """Names that stand for a SELECT wherever a module gives them a value."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
    return {name for name, each in values.items() if all(map(_is_selection, each))}


def _is_selection(given: ast.expr) -> bool:
    while isinstance(given, ast.Call):
        if isinstance(given.func, ast.Name):
            return given.func.id == "select"
        if not isinstance(given.func, ast.Attribute):
            return False
        given = given.func.value
    return False


def test_checksums_of_rows_are_computed_in_one_place() -> None:
    """Whoever seals or takes out what was said must find every place that reads it."""
    allowed = ("convstore/db/codec/", "convstore/db/session_rows.py")
    found = [
        str(path)
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "convstore.vocabulary.codec"
        and any(name.name == "digest" for name in node.names)
        and not str(path).startswith(allowed)
    ]

    assert found == []
