"""Compile tiphys/csi/*.proto to tiphys/csi/pb/.

python tools/csi_proto.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSI = ROOT / "tiphys" / "csi"


def compile_proto(name: str) -> int:
    """Run protoc for one file; the outputs are NAME_pb2.py and NAME_pb2.pyi."""
    import grpc_tools  # type: ignore[import-untyped]
    from grpc_tools import protoc

    # The mapped include path gives the descriptor a name of its own: a driver's file in the same process is called csi.proto as well.
    target = f"tiphys/csi/pb/{name}.proto"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    includes = [f"-I{target}={CSI / name}.proto", f"-I{well_known}"]
    return int(protoc.main(["protoc", *includes, f"--python_out={ROOT}", f"--pyi_out={ROOT}", target]))


if __name__ == "__main__":
    sys.exit(compile_proto("csi") or compile_proto("registration"))
