"""Write tiphys/node/cri/api.proto from a table of CRI facts and compile it.

    python tools/cri_proto.py [wire-cri.tsv]

Without a table only the compiler runs (after an edit of api.proto by hand). The table has one row per field, enum value or rpc:
package, message or service, field or rpc, number (or "rpc", "enum value"), type. Messages that only Windows nodes use are left out,
and their field numbers reserved, because the product runs on Linux and every descriptor costs memory in the node process.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRI = ROOT / "tiphys" / "node" / "cri"
HEADER = """// The Container Runtime Interface, version 1, as far as a Linux node needs it.
// Written by tools/cri_proto.py; edit the generator, not this file.
syntax = "proto3";

package runtime.v1;
"""


@dataclass
class Message:
    """One message: its lines, the field numbers left out, and enums declared inside."""

    fields: list[str] = field(default_factory=list)
    reserved: list[str] = field(default_factory=list)
    enums: dict[str, list[str]] = field(default_factory=dict)


def is_left_out(name: str) -> bool:
    """Windows messages, and the streamed lists that came after the containerd versions we support."""
    return name.startswith(("Windows", "Stream"))


def render(rows: list[list[str]]) -> str:
    """The .proto text for the rows of the table."""
    services: dict[str, list[str]] = {}
    enums: dict[str, list[str]] = {}
    messages: dict[str, Message] = {}
    for _, owner, name, number, kind in rows:
        if number == "rpc":
            request, response = kind.split(" -> ")
            if is_left_out(request):
                continue
            services.setdefault(owner, []).append(f"  rpc {name}({request}) returns ({response});")
            for used in (request, response.removeprefix("stream ")):
                messages.setdefault(used, Message())
        elif kind == "enum value" or number == "enum value":
            outer, _, inner = owner.rpartition(".")
            table = messages.setdefault(outer, Message()).enums if outer else enums
            table.setdefault(inner, []).append(f"{name} = {number};")
        elif not is_left_out(owner):
            message = messages.setdefault(owner, Message())
            if is_left_out(kind.removeprefix("repeated ")):
                message.reserved.append(number)
            else:
                message.fields.append(f"  {kind.replace(',', ', ')} {name} = {number};")
    out = [HEADER]
    for service, lines in services.items():
        out += [f"service {service} {{", *lines, "}\n"]
    for enum, lines in enums.items():
        out += [f"enum {enum} {{", *(f"  {line}" for line in lines), "}\n"]
    for name, message in messages.items():
        out.append(f"message {name} {{")
        for enum, lines in message.enums.items():
            out += [f"  enum {enum} {{", *(f"    {line}" for line in lines), "  }"]
        if message.reserved:
            out.append(f"  reserved {', '.join(message.reserved)};")
        out += [*message.fields, "}\n"]
    return "\n".join(out)


def compile_proto() -> int:
    """Run protoc; the outputs are api_pb2.py and api_pb2.pyi in pb/."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    # The mapped include path gives the descriptor a name of its own: every CRI's file is called api.proto.
    name = "tiphys/node/cri/pb/api.proto"
    return int(protoc.main(["protoc", f"-I{name}={CRI / 'api.proto'}", f"--python_out={ROOT}", f"--pyi_out={ROOT}", name]))


def main() -> int:
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8", newline="") as table:
            rows = list(csv.reader(table, delimiter="\t"))[1:]
        (CRI / "api.proto").write_text(render(rows), encoding="utf-8")
    return compile_proto()


if __name__ == "__main__":
    sys.exit(main())
