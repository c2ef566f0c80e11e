"""Building blocks of control loops: informers, queues, the reconcile loop, leader election, events."""

from tiphys.runtime.apply import copied, update_with_retry
from tiphys.runtime.controller import DONE, Controller, ControllerContext, ControlLoop, Result, Terminal
from tiphys.runtime.declaration import Declaration, Slim, UndeclaredRead, Whole, fate_of
from tiphys.runtime.index import ANY_OWNER, OWNER, controller_of, index_owners, to_owner
from tiphys.runtime.informer import Informer, InformerFactory
from tiphys.runtime.key import Key
from tiphys.runtime.leader import LeaderElector, LeadershipLost
from tiphys.runtime.manager import Manager
from tiphys.runtime.recorder import EventRecorder, reference_to
from tiphys.runtime.workqueue import WorkQueue
from tiphys.runtime.write import delete_exact, patch_status, update_present, write_status
from tiphys.settings.loop import LoopSettings

__all__ = [
    "ANY_OWNER",
    "DONE",
    "OWNER",
    "ControlLoop",
    "Controller",
    "ControllerContext",
    "Declaration",
    "EventRecorder",
    "Informer",
    "InformerFactory",
    "Key",
    "LeaderElector",
    "LeadershipLost",
    "LoopSettings",
    "Manager",
    "Result",
    "Slim",
    "Terminal",
    "UndeclaredRead",
    "Whole",
    "WorkQueue",
    "controller_of",
    "copied",
    "delete_exact",
    "fate_of",
    "index_owners",
    "patch_status",
    "reference_to",
    "to_owner",
    "update_present",
    "update_with_retry",
    "write_status",
]
