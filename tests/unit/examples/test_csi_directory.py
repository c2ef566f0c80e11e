"""The manifests of the reference driver fit its code."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from csi_directory.__main__ import parse
from csi_directory.rules import MUTABLE, NAME

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "csi-directory"


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLE / name).read_text()))


def containers() -> dict[str, dict[str, Any]]:
    """Containers by workload and name."""
    workloads = [one for one in objects("driver.yaml") if one["kind"] in ("StatefulSet", "DaemonSet")]
    return {f"{one['kind']}/{part['name']}": part for one in workloads for part in one["spec"]["template"]["spec"]["containers"]}


def test_the_kustomization_has_all_files() -> None:
    (kustomization,) = objects("kustomization.yaml")
    (code,) = kustomization["configMapGenerator"]
    assert code["files"] == sorted(f"csi_directory/{path.name}" for path in (EXAMPLE / "csi_directory").glob("*.py"))
    assert all((EXAMPLE / name).exists() for name in kustomization["resources"])


def test_all_speak_of_one_driver() -> None:
    named = [one["metadata"]["name"] for one in objects("driver.yaml") if one["kind"] == "CSIDriver"]
    named += [one.get("provisioner") or one["driverName"] for one in objects("classes.yaml")]
    named += [one["driver"] for one in objects("snapshots.yaml")]
    named += [volume["csi"]["driver"] for one in objects("claim.yaml") for volume in one["spec"].get("volumes", []) if "csi" in volume]
    assert set(named) == {NAME}
    (attributes,) = [one for one in objects("classes.yaml") if one["kind"] == "VolumeAttributesClass"]
    assert attributes["parameters"].keys() <= MUTABLE.keys()


def test_the_driver_takes_its_options() -> None:
    values = {"$(NODE_NAME)": "node-1", "$(ZONE)": ""}
    chosen = {}
    for name in ("StatefulSet/driver", "DaemonSet/driver"):
        words = list(containers()[name]["args"])
        for variable, value in values.items():
            words = [word.replace(variable, value) for word in words]
        chosen[name] = parse(words)
    assert (chosen["StatefulSet/driver"].controller, chosen["StatefulSet/driver"].node) == (True, False)
    assert (chosen["DaemonSet/driver"].controller, chosen["DaemonSet/driver"].node) == (False, True)
    assert chosen["DaemonSet/driver"].node_id == "node-1"


def test_without_a_part_both_are_served(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["--root", "/r", "--node-id", "a"])
    assert options.controller
    assert options.node
    with pytest.raises(SystemExit):
        parse(["--root", "/r"])
    assert "--node-id is needed" in capsys.readouterr().err


def test_the_registered_socket_is_the_drivers() -> None:
    (daemons,) = [one for one in objects("driver.yaml") if one["kind"] == "DaemonSet"]
    volumes = {one["name"]: one["hostPath"]["path"] for one in daemons["spec"]["template"]["spec"]["volumes"] if "hostPath" in one}
    registered = f"--kubelet-registration-path={volumes['socket']}/csi.sock"
    assert registered in containers()["DaemonSet/registrar"]["args"]
    (kubelet,) = [one for one in containers()["DaemonSet/driver"]["volumeMounts"] if one["name"] == "kubelet"]
    # Paths in requests are those of the machine.
    assert kubelet["mountPath"] == volumes["kubelet"]
    assert kubelet["mountPropagation"] == "Bidirectional"


def test_kubectl_builds_it() -> None:
    kubectl = Path(__file__).resolve().parents[3] / ".venv" / "bin" / "kubectl"
    if not kubectl.exists():
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", EXAMPLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    (name,) = [name for kind, name in built if kind == "ConfigMap"]
    volumes = built["DaemonSet", "csi-directory-node"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "code", "configMap": {"name": name}} in volumes
