"""The fence around the evaluator: the only module that imports it, and only once the first expression is compiled (it takes 30 MB).

The evaluator finds functions at run time by the kinds of their arguments, and all opaque values are of one kind. So an expression is
checked in an environment with every signature, and evaluated in one where signatures of the same kinds share a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from tiphys.cel.errors import CompilationError, EvaluationError
from tiphys.cel.library import Library, Opaque, Overload, Type

_BASIC = frozenset(("bool", "int", "uint", "double", "string", "bytes", "dyn", "duration", "timestamp"))
_PLACE = re.compile(r"\s*\[[A-Z_]+\]\s*$")


class Engine:
    """Compiles expressions over declared variables."""

    def __init__(self, variables: Mapping[str, Type], libraries: Sequence[Library]) -> None:
        from cel_expr_python import cel

        self._cel = cel
        self._opaque = {opaque.name: opaque for library in libraries for opaque in library.opaque}
        self._pool, self._classes = _messages(self._opaque)
        self._by_python = {opaque.python: opaque for opaque in self._opaque.values()}
        overloads = [overload for library in libraries for overload in library.overloads]
        self._variables = {name: self._type(type_) for name, type_ in variables.items()}
        self._checker = self._environment(overloads)
        self._runtime = self._environment(self._merged(overloads))

    def compile(self, text: str) -> tuple[bytes, str]:
        """Return the serialized expression and the name of its type. Raises CompilationError."""
        try:
            expression = self._checker.compile(text)
            return expression.serialize(), expression.return_type().name().lower()
        except RuntimeError as error:
            raise CompilationError(f"compilation failed: {_message(error)}") from error

    def program(self, serialized: bytes) -> Callable[[Mapping[str, Any]], Any]:
        """Return a function from variables to the value, which raises EvaluationError."""
        expression = self._runtime.deserialize(serialized)
        error_type = self._cel.Type.ERROR

        def evaluate(variables: Mapping[str, Any]) -> Any:
            try:
                value = expression.eval(data=self.values(variables))
            except RuntimeError as error:
                raise EvaluationError(_message(error)) from error
            if value.type() == error_type:
                raise EvaluationError(_message(value.plain_value()))
            return self._python(value.plain_value())

        return evaluate

    def values(self, value: Any) -> Any:
        """Return a value of Python as the evaluator takes it."""
        opaque = self._by_python.get(type(value))
        if opaque is not None:
            return self._classes[opaque.name](text=opaque.write(value))
        if isinstance(value, Mapping):
            return {key: self.values(item) for key, item in value.items()}
        return [self.values(item) for item in value] if isinstance(value, list | tuple) else value

    def _python(self, value: Any) -> Any:
        if isinstance(value, Message):
            opaque = self._opaque.get(value.DESCRIPTOR.full_name)
            return value if opaque is None else opaque.read(value.text)  # type: ignore[attr-defined]
        return value

    def _type(self, name: Type) -> Any:
        types, name = self._cel.Type, name.strip()
        if name in _BASIC:
            return getattr(types, name.upper())
        if name.startswith("list("):
            return types.List(self._type(name[5:-1]))
        if name.startswith("map("):
            key, value = name[4:-1].split(",", 1)
            return types.Map(self._type(key), self._type(value))
        return types(name)

    def _kind(self, name: Type) -> str:
        return "struct" if name in self._opaque else name.split("(")[0]

    def _merged(self, overloads: Sequence[Overload]) -> list[Overload]:
        """Return one overload for each name and kinds of arguments; it chooses by the Python classes of its arguments."""
        groups: dict[tuple[str, bool, tuple[str, ...]], list[Overload]] = {}
        for overload in overloads:
            kinds = tuple(map(self._kind, overload.parameters))
            groups.setdefault((overload.name, overload.member, kinds), []).append(overload)
        return [group[0]._replace(call=self._choice(group)) for group in groups.values()]

    def _choice(self, group: Sequence[Overload]) -> Callable[..., Any]:
        def classes(overload: Overload) -> tuple[type | None, ...]:
            return tuple(self._opaque[name].python if name in self._opaque else None for name in overload.parameters)

        calls = [(classes(overload), overload.call) for overload in group]

        def call(*arguments: Any) -> Any:
            values = [self._python(argument) for argument in arguments]
            for expected, function in calls:
                if all(one is None or isinstance(value, one) for one, value in zip(expected, values, strict=True)):
                    return self.values(function(*values))
            raise ValueError("no such overload")

        return call

    def _environment(self, overloads: Sequence[Overload]) -> Any:
        from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

        cel = self._cel
        functions: dict[str, list[Any]] = {}
        for number, one in enumerate(overloads):
            declared = cel.Overload(
                f"{one.name}_{number}",
                return_type=self._type(one.result),
                parameters=[self._type(name) for name in one.parameters],
                is_member=one.member,
                impl=one.call,
            )
            functions.setdefault(one.name, []).append(declared)
        return cel.NewEnv(
            self._pool,
            variables=self._variables,
            extensions=[ext_bindings.ExtBindings(), ext_optional.ExtOptional(), ext_strings.ExtStrings()],
            functions=[cel.FunctionDecl(name, declared) for name, declared in functions.items()],
        )


def _messages(types: Mapping[str, Opaque]) -> tuple[descriptor_pool.DescriptorPool, dict[str, type[Message]]]:
    """Return a pool with a message of one text for each opaque type, and the messages' classes."""
    pool = descriptor_pool.DescriptorPool()
    for name in types:
        package, _, short = name.rpartition(".")
        file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=package, syntax="proto3")
        file.message_type.add(name=short).field.add(name="text", number=1, type=9, label=1)
        pool.Add(file)
    find = pool.FindMessageTypeByName
    return pool, {name: message_factory.GetMessageClass(find(name)) for name in types}


def _message(error: object) -> str:
    """Return the evaluator's message without its code names."""
    text = _PLACE.sub("", str(error))
    code, _, rest = text.partition(": ")
    return rest if code.isupper() and rest else text
