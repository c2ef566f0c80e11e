"""Compiles and evaluates expressions ("Common Expression Language in Kubernetes")."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tiphys.cel.cost import LIMIT, worst_case
from tiphys.cel.errors import CompilationError, TooComplex
from tiphys.cel.library import Library, Type
from tiphys.cel.tree import Tree, read_tree

if TYPE_CHECKING:
    from tiphys.cel.engine import Engine

TOO_COMPLEX = "too complex, exceeds cost limit"


class Program:
    """A compiled expression."""

    def __init__(self, text: str, type_: Type, tree: Tree, cost: int, evaluate: Callable[[Mapping[str, Any]], Any]) -> None:
        self.text = text
        self.type = type_
        self.tree = tree
        self.cost = cost
        """Greatest cost of an evaluation."""
        self._evaluate = evaluate

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Return the value for these variables. Raises EvaluationError."""
        return self._evaluate(variables)


class Environment:
    """The variables and functions that expressions may use. The evaluator is loaded when the first one is compiled."""

    def __init__(self, variables: Mapping[str, Type], libraries: Sequence[Library] = (), *, sizes: Mapping[str, int] | None = None) -> None:
        """Declare the variables. `sizes` are their greatest numbers of entries or letters, for bounds of cost."""
        self._variables, self._libraries = dict(variables), tuple(libraries)
        self._sizes = dict(sizes or {})
        self._costs = {name: cost for library in libraries for name, cost in library.costs.items()}

    @cached_property
    def _engine(self) -> Engine:
        from tiphys.cel.engine import Engine

        return Engine(self._variables, self._libraries)

    def compile(self, text: str, *, expects: Collection[Type] = ("bool",), limit: int = LIMIT) -> Program:
        """Compile an expression whose type is one of `expects`. Raises CompilationError, or TooComplex if it may cost more than `limit`."""
        serialized, type_ = self._engine.compile(text)
        if type_ not in expects:
            expected = " or the unknown type" if "dyn" in expects else ""
            raise CompilationError(f"must evaluate to {next(iter(expects))}{expected}, not {type_}")
        tree = read_tree(serialized)
        cost = worst_case(tree, self._sizes, self._costs)
        if cost > limit:
            raise TooComplex(TOO_COMPLEX)
        return Program(text, type_, tree, cost, self._engine.program(serialized))
