"""Parameters of the subresources that are streams, by the kind of their options; no Struct has them, since they only stand in URLs."""

from __future__ import annotations

from tiphys.apiserver.openapi.parameters import Parameter

_CONTAINER = Parameter("container", "string", "The container, when the pod has several.")
_STREAMS = (
    Parameter("stderr", "boolean", "Send what it writes to stderr."),
    Parameter("stdin", "boolean", "Pass on what the client writes."),
    Parameter("stdout", "boolean", "Send what it writes to stdout."),
    Parameter("tty", "boolean", "Give it a terminal."),
)
_PATH = (Parameter("path", "string", "The path that is asked for behind the proxy."),)

CONNECT: dict[str, tuple[Parameter, ...]] = {
    "NodeProxyOptions": _PATH,
    "PodAttachOptions": (_CONTAINER, *_STREAMS),
    "PodExecOptions": (Parameter("command", "string", "The command and its arguments, one parameter each."), _CONTAINER, *_STREAMS),
    "PodPortForwardOptions": (Parameter("ports", "integer", "The ports to connect to."),),
    "PodProxyOptions": _PATH,
    "ServiceProxyOptions": _PATH,
}

LOG: tuple[Parameter, ...] = (
    _CONTAINER,
    Parameter("follow", "boolean", "Keep sending as more is written."),
    Parameter("insecureSkipTLSVerifyBackend", "boolean", "Do not check the certificate of the kubelet."),
    Parameter("limitBytes", "integer", "End after so many bytes."),
    Parameter("previous", "boolean", "The log of the container that ran before this one."),
    Parameter("sinceSeconds", "integer", "Only what was written in the last so many seconds."),
    Parameter("stream", "string", "Only what came from `Stdout` or `Stderr`; `All` is the default."),
    Parameter("tailLines", "integer", "Only the last so many lines."),
    Parameter("timestamps", "boolean", "Begin each line with the time at which it was written."),
)
