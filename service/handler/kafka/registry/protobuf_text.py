"""Reads the source of a Protobuf schema: what Java's serializer registers, some registries return as it is.

protobuf's own parser is only part of its compiler. What does not change how a message is read is skipped: services,
extensions, reserved names, and all options but `json_name` and `allow_alias`.
"""

import re
from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from service.errors import UnusableSchema

_TOKEN: Final = re.compile(
    r"""(?:\s+ | //[^\n]* | /\*.*?\*/)
    | (?P<token> [-+]?[\w.]+ | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | [{}\[\]()<>=;,:/])""",
    re.DOTALL | re.VERBOSE,
)
_LABELS: Final = {
    "optional": FieldDescriptorProto.LABEL_OPTIONAL,
    "required": FieldDescriptorProto.LABEL_REQUIRED,
    "repeated": FieldDescriptorProto.LABEL_REPEATED,
}
_SCALARS: Final = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in FieldDescriptorProto.Type.items()
    if name not in {"TYPE_MESSAGE", "TYPE_GROUP", "TYPE_ENUM"}
}
_END: Final = ""


def parse_text(text: str) -> FileDescriptorProto:
    """Return the descriptor of a file. Raises UnusableSchema; ValueError for a malformed number; RecursionError."""
    return _Parser(text).file()


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _invalid()
        position = found.end()
        if token := found["token"]:
            yield token


def _invalid() -> UnusableSchema:
    return UnusableSchema("is not valid Protobuf source")


class _Parser:
    """Each method reads what it is named after; `_next` is the first token that is not read yet."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens, _END)
        self._is_proto3 = False

    def file(self) -> FileDescriptorProto:
        file = FileDescriptorProto()
        while self._next != _END:
            match self._take():
                case "syntax":
                    file.syntax = self._syntax()
                case "package":
                    file.package = self._take()
                    self._expect(";")
                case "import":
                    self._import(file)
                case "message":
                    self._message(file.message_type.add())
                case "enum":
                    self._enum(file.enum_type.add())
                case "option" | "service" | "extend":
                    self._skip_statement()
                case ";":
                    pass
                case _:
                    raise _invalid()
        return file

    def _take(self) -> str:
        token = self._next
        if token == _END:
            raise _invalid()
        self._next = next(self._tokens, _END)
        return token

    def _takes(self, token: str) -> bool:
        """Read this token, if it is the next one."""
        found = self._next == token
        if found:
            self._take()
        return found

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise _invalid()

    def _text(self) -> str:
        token = self._take()
        if token[0] not in "\"'":
            raise _invalid()
        return token[1:-1]

    def _number(self) -> int:
        self._expect("=")
        return int(self._take(), 0)

    def _skip_statement(self) -> None:
        """Skip what is left of a statement, which ends with a semicolon or a block."""
        while (word := self._take()) != ";":
            if word == "{":
                self._skip_to("}")
                return

    def _skip_to(self, end: str) -> None:
        while (word := self._take()) != end:
            if word == "{":
                self._skip_to("}")

    def _syntax(self) -> str:
        self._expect("=")
        syntax = self._text()
        self._expect(";")
        if syntax not in {"proto2", "proto3"}:
            raise UnusableSchema("is neither proto2 nor proto3")
        self._is_proto3 = syntax == "proto3"
        return syntax

    def _import(self, file: FileDescriptorProto) -> None:
        if self._takes("public"):
            file.public_dependency.append(len(file.dependency))
        else:
            self._takes("weak")
        file.dependency.append(self._text())
        self._expect(";")

    def _message(self, message: DescriptorProto) -> None:
        message.name = self._take()
        self._expect("{")
        while not self._takes("}"):
            self._message_element(message)
        for field in message.field:
            if field.proto3_optional:  # its presence is declared by a oneof of its own, after all others
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")

    def _message_element(self, message: DescriptorProto) -> None:
        match self._take():
            case "message":
                self._message(message.nested_type.add())
            case "enum":
                self._enum(message.enum_type.add())
            case "oneof":
                self._oneof(message)
            case "map":
                self._map(message)
            case "option" | "extensions" | "reserved" | "extend":
                self._skip_statement()
            case ";":
                pass
            case ("optional" | "required" | "repeated") as label:
                field = self._field(message, self._take(), _LABELS[label])
                field.proto3_optional = self._is_proto3 and label == "optional"
            case type_name:
                self._field(message, type_name)

    def _field(
        self,
        message: DescriptorProto,
        type_name: str,
        label: FieldDescriptorProto.Label.ValueType = FieldDescriptorProto.LABEL_OPTIONAL,
    ) -> FieldDescriptorProto:
        if type_name == "group":
            raise UnusableSchema("has a group")
        field = message.field.add(name=self._take(), number=self._number(), label=label)
        _set_type(field, type_name)
        if self._takes("["):
            self._field_options(field)
        self._expect(";")
        return field

    def _field_options(self, field: FieldDescriptorProto) -> None:
        while (word := self._take()) != "]":
            if word == "{":
                self._skip_to("}")
            elif word == "json_name":
                self._expect("=")
                field.json_name = self._text()

    def _oneof(self, message: DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._take())
        self._expect("{")
        while not self._takes("}"):
            match self._take():
                case "option":
                    self._skip_statement()
                case ";":
                    pass
                case type_name:
                    self._field(message, type_name).oneof_index = index

    def _map(self, message: DescriptorProto) -> None:
        """Read a map, which is a list of entries."""
        entry = message.nested_type.add()
        entry.options.map_entry = True
        for before, name in (("<", "key"), (",", "value")):
            self._expect(before)
            field = entry.field.add(name=name, number=len(entry.field) + 1, label=FieldDescriptorProto.LABEL_OPTIONAL)
            _set_type(field, self._take())
        self._expect(">")
        entry.name = "".join(part[:1].upper() + part[1:] for part in self._next.split("_")) + "Entry"
        self._field(message, entry.name, FieldDescriptorProto.LABEL_REPEATED)

    def _enum(self, enum: EnumDescriptorProto) -> None:
        enum.name = self._take()
        self._expect("{")
        while not self._takes("}"):
            match self._take():
                case "option" if self._next == "allow_alias":
                    self._take()
                    self._expect("=")
                    enum.options.allow_alias = self._take() == "true"
                case "option" | "reserved":
                    self._skip_statement()
                case ";":
                    pass
                case name:
                    enum.value.add(name=name, number=self._number())
                    self._skip_statement()


def _set_type(field: FieldDescriptorProto, name: str) -> None:
    if name in _SCALARS:
        field.type = _SCALARS[name]
    else:
        field.type_name = name  # may be relative: the pool resolves it
