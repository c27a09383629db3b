"""Statements that a connection has PostgreSQL parse and plan once, and then only execute.

Most of a read's time is planning (`docs/decisions/0020-…`). A plan made once has to suit every parameter: so a filter
that nobody asked for is no `%(filter)s IS NULL OR …` but left out of the text, and each text has its own plan.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

_OPTIONAL = re.compile(r"\[(PLAN )?(AND [^\[\]]*)\]")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


class Prepared(str):
    """A statement with named placeholders (`%(name)s`), prepared at a connection's first use of it.

    A condition in brackets, `[AND p.city = %(city)s]`, is left out where one of its parameters is None: `given` tells
    the statement for some parameters. One of which a value may let through all rows or none, `[PLAN AND p.name LIKE
    %(q)s]`, has the statement planned each time.

    PostgreSQL infers the parameters' types where they are used; one that it can't tell needs a cast. The name is made
    of the text: whoever finds a statement of this name on a server connection that others use too finds this one.
    """

    name: str
    preparation: str
    execution: str
    _optional: list[list[str]]
    _decisive: list[str]
    _given: dict[tuple[bool, ...], str]

    def __new__(cls, text: str) -> "Prepared":
        """Find the optional conditions and number the placeholders once, when the module is imported."""
        self = super().__new__(cls, text)
        self._optional = [names_in(condition) for _, condition in _OPTIONAL.findall(text)]
        self._decisive = sorted({name for names in self._optional for name in names})
        self._given = {}
        if not self._optional:
            self._number()
        return self

    def given(self, parameters: Mapping[str, Any]) -> str:
        """The statement with those of its optional conditions whose parameters are all something: mostly a Prepared."""
        if not self._optional:
            return self
        present = tuple([parameters[name] is not None for name in self._decisive])
        if present not in self._given:
            kept = iter([all(parameters[name] is not None for name in names) for names in self._optional])
            planned = False

            def condition(found: re.Match[str]) -> str:
                nonlocal planned
                if not next(kept):
                    return ""
                planned = planned or bool(found[1])
                return found[2]

            text = _OPTIONAL.sub(condition, self)
            self._given[present] = text if planned else Prepared(text)
        return self._given[present]

    def _number(self) -> None:
        numbers: dict[str, int] = {}

        def numbered(found: re.Match[str]) -> str:
            return f"${numbers.setdefault(found[1], len(numbers) + 1)}" if found[1] else "%"

        body = _PLACEHOLDER.sub(numbered, self)
        self.name = "ph_" + hashlib.sha256(self.encode()).hexdigest()[:32]
        self.preparation = f"PREPARE {self.name} AS {body}"
        arguments = ", ".join(f"%({name})s" for name in numbers)
        self.execution = f"EXECUTE {self.name}" + (f" ({arguments})" if arguments else "")


def names_in(text: str) -> list[str]:
    """The names of the placeholders of `text`, in their order."""
    return [name for name in _PLACEHOLDER.findall(text) if name]
