"""The architecture as a lint: which room may hold what. `./fleet check` runs it; each breach is one line.

The way of a request is main → domain → db → shared, and nothing points back: routes know no SQL, rules know neither
HTTP nor the driver, SQL is a constant, `shared` knows no service, and no service knows another.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dev import ROOT
from dev.settings import SERVICE_FOLDERS

CHECKED_FOLDERS = (*(f"{folder}/app" for folder in SERVICE_FOLDERS.values()), "shared", "database")
LONGEST_ROUTE_LINES = 8
ROUTE_DECORATORS = {"get", "post", "put", "patch", "delete"}
SQL_CALLS = {"fetch_one", "fetch_all", "execute"}
SQL_START = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s")

WEB = {"fastapi", "starlette"}
# What each room of a service may not import; a noun (tokens.py, validation.py) is held to the rules of the domain.
FORBIDDEN_IMPORTS = {
    "main": {"psycopg2", "redis", "httpx"},
    "domain": WEB | {"psycopg2"},
    "db": WEB | {"httpx"},
    "settings": WEB | {"psycopg2"},
}
# Our own packages by absolute name. In a service `app` is whichever of the four comes first: relative imports only.
OURS = {"app", "dev", "tests", "database", "shared"}
OWN_IMPORTS = {"shared": {"shared"}, "database": {"shared", "database"}}
# Command-line modules talk to a person and are configured by the environment alone.
MAY_PRINT = {"command", "database"}
MAY_READ_ENVIRONMENT = MAY_PRINT | {"settings"}


@dataclass(frozen=True, order=True)
class Breach:
    """One place that breaks a rule."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.rule} {self.message}"


def room_of(path: str) -> str:
    """Return the room of a file, by its path in the checkout."""
    parts = Path(path).parts
    if parts[0] in ("shared", "database"):
        return "settings" if parts[0] == "shared" and parts[-1] == "settings.py" else parts[0]
    rooms = {"main.py": "main", "db.py": "db", "settings.py": "settings", "admin.py": "command"}
    return "db" if parts[-1].endswith("_db.py") else rooms.get(parts[-1], "domain")


def check_source(path: str, source: str) -> list[Breach]:
    """Return the breaches of one file; `path` is relative to the checkout."""
    room = room_of(path)
    in_service = Path(path).parts[0] in SERVICE_FOLDERS.values()
    tree = ast.parse(source, filename=path)
    found = [*import_breaches(tree, Path(path).parts[0], room), *sql_breaches(tree, in_service)]
    found += [*process_breaches(tree, room), *(service_breaches(tree, room) if in_service else ())]
    return sorted({Breach(path, line, rule, message) for line, rule, message in found})


# A breach before its path is known: line, rule, message.
Finding = tuple[int, str, str]


def import_breaches(tree: ast.AST, package: str, room: str) -> Iterator[Finding]:
    """Find imports that leave the room in the wrong direction."""
    own = OWN_IMPORTS.get(package, {"shared"})
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            if package not in OWN_IMPORTS and "main" in ((node.module or "").split(".")[0], *names_of(node)):
                yield node.lineno, "points-back", "nothing may import main: move what is needed to the domain"
            continue
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for top in {module.split(".")[0] for module in modules}:
            if top in FORBIDDEN_IMPORTS.get(room, set()):
                yield node.lineno, "forbidden-import", f"{top} has no place in this room ({room})"
            elif top in OURS - own:
                yield node.lineno, "foreign-import", f"{top} may not be imported from {package}"


def names_of(node: ast.ImportFrom) -> list[str]:
    """Return what `from . import a, b` names; nothing for `from .module import a`, whose names are not modules."""
    return [] if node.module else [alias.name for alias in node.names]


def service_breaches(tree: ast.AST, room: str) -> Iterator[Finding]:
    """Find what no service does: HTTP errors by hand, and in routes more than one call of the domain."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute | ast.alias) and name_of(node) == "HTTPException":
            yield node.lineno, "http-exception", "raise a named error; one renderer makes the answer"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_route(node):
            lines = body_lines(node)
            if lines > LONGEST_ROUTE_LINES:
                yield node.lineno, "long-route", f"{node.name} has {lines} lines, the limit is {LONGEST_ROUTE_LINES}"
        if room == "main" and isinstance(node, ast.Try | ast.TryStar):
            yield node.lineno, "try-in-main", "a route lets errors pass; the renderer knows them"
        if room == "main" and isinstance(node, ast.Constant) and looks_like_sql(node):
            yield node.lineno, "sql-in-main", "SQL belongs in db.py"


def is_route(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is decorated as `@something.get(...)` or another HTTP method."""
    calls = [decorator.func for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in ROUTE_DECORATORS for call in calls)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1 if body else 0


def sql_breaches(tree: ast.AST, in_service: bool) -> Iterator[Finding]:
    """Find SQL that is put together from values: in the call that runs it; in a service wherever a text looks like it.

    (`shared` may wrap one constant statement in another, as the audit trail does.)
    """
    message = "SQL is a constant with %(name)s parameters, or composed with psycopg2.sql"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SQL_CALLS:
            if any(is_built(argument) for argument in node.args[:1]):
                yield node.args[0].lineno, "built-sql", message
        elif in_service and isinstance(node, ast.expr) and is_built(node) and looks_like_sql(first_text(node)):
            yield node.lineno, "built-sql", message


def is_built(node: ast.expr) -> bool:
    """Tell whether an expression is text put together with something that isn't a constant."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return not (is_constant(node.left) and is_constant(node.right))
    # psycopg2.sql.SQL("...").format(...) composes and quotes: only a plain string's format is meant.
    call = node.func if isinstance(node, ast.Call) else None
    return isinstance(call, ast.Attribute) and call.attr == "format" and is_constant(call.value)


def is_constant(node: ast.expr) -> bool:
    """Tell whether an expression is a literal, a CONSTANT by its name, or a sum of such."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return is_constant(node.left) and is_constant(node.right)
    return isinstance(node, ast.Constant) or name_of(node).isupper()


def name_of(node: ast.AST) -> str:
    """Return the last part of a name (`a.b` is `b`), "" for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else node.name if isinstance(node, ast.alias) else ""


def first_text(node: ast.AST) -> ast.AST:
    """Return the first literal of a text that is put together."""
    return next((part for part in ast.walk(node) if isinstance(part, ast.Constant)), node)


def looks_like_sql(node: ast.AST) -> bool:
    """Tell whether a literal begins as a statement does."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(SQL_START.match(node.value))


def process_breaches(tree: ast.AST, room: str) -> Iterator[Finding]:
    """Find modules that read the environment past the settings, or print instead of logging."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.alias) and name_of(node) in ("environ", "getenv"):
            if room not in MAY_READ_ENVIRONMENT:
                yield node.lineno, "environment", "settings are read once, in the settings, and passed in"
        if isinstance(node, ast.Call) and name_of(node.func) == "print" and room not in MAY_PRINT:
            yield node.lineno, "print", "services log; only commands print"


def check(root: Path, folders: Iterable[str] = CHECKED_FOLDERS) -> list[Breach]:
    """Return all breaches in a checkout."""
    found: list[Breach] = []
    for file in (file for folder in folders for file in sorted((root / folder).rglob("*.py"))):
        found += check_source(str(file.relative_to(root)), file.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    breaches = check(ROOT)
    for breach in breaches:
        print(breach)
    sys.exit(1 if breaches else 0)
