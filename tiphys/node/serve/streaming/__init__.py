"""Exec, attach and port-forward at the node: from a client's upgraded connection to the container runtime's streaming server.

`tiphys/wire/DESIGN.md` tells the path of an exec. Callers have authenticated and authorized the request, asked the runtime for a URL, and
hand over the raw connection without having answered: the 101 (or the refusal) is written here. The connection is closed on return.
"""

from tiphys.node.serve.streaming.attach import Attached
from tiphys.node.serve.streaming.remote_command import CommandStreams
from tiphys.node.serve.streaming.serve import IDLE_TIMEOUT, serve_attach, serve_exec, serve_port_forward

__all__ = ["IDLE_TIMEOUT", "Attached", "CommandStreams", "serve_attach", "serve_exec", "serve_port_forward"]
