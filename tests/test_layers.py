"""The layers of the house: imports point only downwards, and some rooms do without some things."""

import ast
import re
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "merpati"

# Top to bottom; names on one line are strangers to one another.
LAYERS = [
    {"cli"},
    {"supervisor"},
    {"system"},
    {"config"},
    {"api"},
    {"reception", "delivery", "report"},
    {"intake"},
    {"policy", "queue", "setup"},
    {"journal", "directory", "authenticity", "diagnosis", "feedback", "identity", "certificates"},
    {"storage", "dns", "wire"},
    {"smtp"},
    {"mail"},
    {"node"},
    {"clock", "errors", "extras"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
IMPORT = re.compile(r"^ *(?:from ([\w.]+) import\b|import ([\w., ]+?) *(?:#.*)?$)", re.M)
SILENT = {"asyncio", "socket", "ssl", "logging", "time", "random", "secrets", "uuid", "os"}
FILES = sorted(path for path in SOURCE.rglob("*.py") if "testing" not in path.parts)


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


@cache
def text(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a file imports, at any depth of its code.

    Read from its lines: `make check` lets no statement stand behind another, and trees of all files
    take thirty times as long.
    """
    found = set()
    for come_from, plain in IMPORT.findall(text(path)):
        assert not come_from.startswith("."), f"{path}: relative import"
        found |= {come_from} if come_from else {one.split()[0] for one in plain.split(",")}
    return frozenset(found)


def naming(path: Path, attributes: set[str]) -> set[str]:
    """Those of these attributes (`os.environ`, `time.time`) that a file uses, as written."""
    if not any(attribute in text(path) for attribute in attributes):
        return set()
    return attributes & {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(text(path)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def importers(*libraries: str) -> set[str]:
    """Rooms, or files as room/file, that import any of these libraries."""
    return {
        path.relative_to(SOURCE).as_posix()
        for path in FILES
        if any(name.split(".")[0] in libraries for name in imports(path))
    }


def test_imports_point_downwards() -> None:
    upwards = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in FILES
        for name in imports(path)
        if room(path) != "__init__" and not is_below(name, room(path))
    ]
    assert not upwards


def is_below(name: str, here: str) -> bool:
    """Whether a room may import this module: the tests' fakes stand below none."""
    if not name.startswith("merpati."):
        return True
    there = name.split(".")[1]
    return there != "testing" and (here == there or LEVEL[there] > LEVEL[here])


def test_protocol_and_values_know_no_io_time_or_chance() -> None:
    for path in FILES:
        if room(path) in {"smtp", "mail"}:
            assert not {name.split(".")[0] for name in imports(path)} & SILENT, path


def test_only_the_dns_room_knows_dnspython() -> None:
    assert {name.split("/")[0] for name in importers("dns")} == {"dns"}


def test_only_the_authority_knows_acme() -> None:
    assert importers("acme", "josepy", "requests") <= {
        "certificates/authority.py",
        "certificates/transport.py",
    }


def test_only_storage_and_the_engines_know_the_database() -> None:
    rooms = {name.split("/")[0] for name in importers("apsw", "sqlite3")}
    assert rooms <= {"storage", "queue", "journal", "directory", "feedback"}


def test_no_part_imports_config() -> None:
    known = {"config", "system", "supervisor", "cli"}
    for path in FILES:
        if room(path) not in known:
            assert "merpati.config" not in imports(path), path


def test_only_the_clock_reads_the_time() -> None:
    readers = {"time.time", "time.monotonic", "datetime.now", "datetime.utcnow", "time.sleep"}
    for path in FILES:
        if room(path) != "clock":
            assert not naming(path, readers), path


def test_only_the_rim_reads_the_environment() -> None:
    allowed = {"cli", "supervisor", "system", "config"}
    for path in FILES:
        if room(path) not in allowed:
            assert not naming(path, {"os.environ", "os.getenv"}), path


def test_no_room_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "helpers", "common", "core", "base", "manager", "misc"}
    assert not {path.stem for path in FILES} & empty


def assigners(path: Path, attribute: str) -> set[str]:
    """Functions of a file that assign to `self.<attribute>`."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and node.attr == attribute
    }


def test_the_server_enters_a_state_at_one_place() -> None:
    assert assigners(SOURCE / "smtp/server.py", "_state") == {"_enter"}


def test_only_the_rim_knows_sockets() -> None:
    rooms = {name.split("/")[0] for name in importers("socket")}
    assert rooms <= {"wire", "dns", "api", "config", "supervisor", "system", "cli"}


def test_policy_cannot_store() -> None:
    for path in FILES:
        if room(path) == "policy":
            stores = {"merpati.queue", "merpati.storage", "merpati.intake"}
            assert not any(name.startswith(tuple(stores)) for name in imports(path)), path


def test_reception_writes_only_what_the_protocol_gives() -> None:
    tree = ast.parse((SOURCE / "reception/session.py").read_text("utf-8"))
    written = {
        ast.unparse(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "write"
    }
    sources = {
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.NamedExpr)
        and {"octets"}
        & {ast.unparse(name) for name in getattr(node, "targets", [getattr(node, "target", None)])}
    }
    assert written == {"octets", "self._smtp.take()"}
    assert sources == {"self._smtp.take()"}
