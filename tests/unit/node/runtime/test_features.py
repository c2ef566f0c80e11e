"""Features of a runtime's handlers, from what CRI reports."""

from __future__ import annotations

from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.runtime.features import HandlerFeatures, RuntimeFeatures, read_features


def handler(name: str, *, recursive: bool, users: bool) -> pb.RuntimeHandler:
    features = pb.RuntimeHandlerFeatures(recursive_read_only_mounts=recursive, user_namespaces=users)
    return pb.RuntimeHandler(name=name, features=features)


def test_reads_what_each_handler_can() -> None:
    handlers = [handler("runc", recursive=True, users=False), handler("", recursive=True, users=True)]
    features = read_features(pb.StatusResponse(runtime_handlers=handlers, features=pb.RuntimeFeatures(supplemental_groups_policy=True)))
    assert features.supplemental_groups_policy
    assert features.of("") == HandlerFeatures(recursive_read_only=True, user_namespaces=True)
    assert features.of("runc") == HandlerFeatures(recursive_read_only=True)
    assert features.of("absent") == HandlerFeatures()
    shown = [
        (one.name, one.features and (one.features.recursiveReadOnlyMounts, one.features.userNamespaces)) for one in features.node_handlers()
    ]
    assert shown == [("", (True, True)), ("runc", (True, False))]


def test_a_runtime_that_reports_nothing_has_its_default_handler() -> None:
    features = read_features(pb.StatusResponse())
    assert features == RuntimeFeatures()
    assert [(one.name, one.features) for one in features.node_handlers()] == [("", None)]
