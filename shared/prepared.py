"""Statements that a connection has PostgreSQL parse and plan once, and then only execute.

For those whose plan does not hang on their parameters: most of their time is planning (`docs/decisions/0020-…`). A list
with optional filters is better planned each time.
"""

import hashlib
import re

_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


class Prepared(str):
    """A statement with named placeholders (`%(name)s`), prepared at a connection's first use of it.

    PostgreSQL infers the parameters' types where they are used; one that it can't tell needs a cast. The name is made
    of the text: whoever finds a statement of this name on a server connection that others use too finds this one.
    """

    name: str
    preparation: str
    execution: str

    def __new__(cls, text: str) -> "Prepared":
        """Number the placeholders once, when the module is imported."""
        self = super().__new__(cls, text)
        numbers: dict[str, int] = {}

        def numbered(found: re.Match[str]) -> str:
            return f"${numbers.setdefault(found[1], len(numbers) + 1)}" if found[1] else "%"

        body = _PLACEHOLDER.sub(numbered, text)
        self.name = "ph_" + hashlib.sha256(text.encode()).hexdigest()[:32]
        self.preparation = f"PREPARE {self.name} AS {body}"
        arguments = ", ".join(f"%({name})s" for name in numbers)
        self.execution = f"EXECUTE {self.name}" + (f" ({arguments})" if arguments else "")
        return self
