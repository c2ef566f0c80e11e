"""The manifests of the sample device plugin fit its code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from dice_plugin.__main__ import parse
from dice_plugin.plugin import RESOURCE, Dice

from tiphys.node.devices.pb import deviceplugin_pb2 as pb

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "device-plugin"


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLE / name).read_text()))


def test_the_kustomization_has_all_files() -> None:
    (kustomization,) = objects("kustomization.yaml")
    (code,) = kustomization["configMapGenerator"]
    assert code["files"] == sorted(f"dice_plugin/{path.name}" for path in (EXAMPLE / "dice_plugin").glob("*.py"))


def test_the_plugin_takes_its_options() -> None:
    (daemons,) = [one for one in objects("plugin.yaml") if one["kind"] == "DaemonSet"]
    (container,) = daemons["spec"]["template"]["spec"]["containers"]
    options = parse(container["args"])
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(options.directory), str(options.broken)} <= places


def test_the_pod_asks_for_dice() -> None:
    (pod,) = objects("pod.yaml")
    assert pod["spec"]["containers"][0]["resources"]["limits"].keys() == {RESOURCE}


async def test_prefers_high_numbers(tmp_path: Path) -> None:
    one = pb.ContainerPreferredAllocationRequest(
        available_deviceIDs=["die-2", "die-10", "die-0"], must_include_deviceIDs=["die-0"], allocation_size=2
    )
    answer = await Dice(11, tmp_path).prefer(pb.PreferredAllocationRequest(container_requests=[one]), None)
    assert list(answer.container_responses[0].deviceIDs) == ["die-0", "die-10"]
