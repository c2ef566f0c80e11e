"""Compile the .proto files of plugins' interfaces, each to the folder `pb` beside it.

python tools/grpc_proto.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    "tiphys/csi/csi.proto",
    "tiphys/csi/registration.proto",
    "tiphys/node/devices/deviceplugin.proto",
    "tiphys/node/dra/dra.proto",
    "tiphys/node/pod_resources/podresources.proto",
)


def compile_proto(file: Path) -> int:
    """Run protoc for one file below the root; the outputs are NAME_pb2.py and NAME_pb2.pyi."""
    import grpc_tools  # type: ignore[import-untyped]
    from grpc_tools import protoc

    # The mapped include path gives the descriptor a name of its own: a driver's file in the same process is called csi.proto as well.
    target = str(file.parent / "pb" / file.name)
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    includes = [f"-I{target}={ROOT / file}", f"-I{well_known}"]
    return int(protoc.main(["protoc", *includes, f"--python_out={ROOT}", f"--pyi_out={ROOT}", target]))


if __name__ == "__main__":
    sys.exit(max(compile_proto(Path(file)) for file in FILES))
