"""Names that the kubelet leaves on sandboxes and containers, and the words of a pod's status that clients match on.

The labels are the ones every CRI tool knows (`crictl pods`, log collectors); the kubelet finds its pods again by them after a restart.
"""

from __future__ import annotations

from typing import Literal

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

# Annotations on containers.
CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
CONTAINER_KIND = "tiphys.io/container-kind"

ContainerKind = Literal["init", "sidecar", "main", "ephemeral"]

# Waiting reasons.
CONTAINER_CREATING = "ContainerCreating"
POD_INITIALIZING = "PodInitializing"
CRASH_LOOP = "CrashLoopBackOff"
ERR_IMAGE_PULL = "ErrImagePull"
IMAGE_BACKOFF = "ImagePullBackOff"
ERR_NEVER_PULL = "ErrImageNeverPull"
INVALID_IMAGE = "InvalidImageName"
INSPECT_ERROR = "ImageInspectError"
REGISTRY_UNAVAILABLE = "RegistryUnavailable"
BAD_SIGNATURE = "SignatureValidationFailed"
CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"
RUN_ERROR = "RunContainerError"
POST_START_ERROR = "PostStartHookError"

DEFAULT_MESSAGE_PATH = "/dev/termination-log"
DEFAULT_GRACE = 30
"""Seconds between the stop signal and SIGKILL for pods that do not say."""
