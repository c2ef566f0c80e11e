"""Access to an API server: `Client` over a `Transport` (`rest`, `inprocess`), and `kubeconfig` to make one from a file."""

from tiphys.client.client import Client, ObjectList
from tiphys.client.frames import WatchEvent
from tiphys.client.inprocess import InProcessTransport
from tiphys.client.partial import PartialObject, partial_kind

__all__ = ["Client", "InProcessTransport", "ObjectList", "PartialObject", "WatchEvent", "partial_kind"]
