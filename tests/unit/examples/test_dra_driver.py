"""The manifests of the sample driver fit its code, and its devices pass the API's rules and those of the node."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import yaml
from lamp_driver.__main__ import parse
from lamp_driver.devices import DRIVER, resource_slice
from lamp_driver.driver import Lamps

from tiphys.api.resource.resource_slice import validate_slice
from tiphys.api.resource.selectors import compile_selector, device_variables
from tiphys.api.resource.v1 import ResourceSlice
from tiphys.node.dra.cdi import grant_of, read_specs
from tiphys.node.dra.pb import dra_pb2 as pb

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "dra-driver"
NODE = {"metadata": {"name": "n1", "uid": "u"}}


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLE / name).read_text()))


def published() -> ResourceSlice:
    return msgspec.convert(resource_slice(NODE, 4, 1), type=ResourceSlice)


def test_the_kustomization_has_all_files() -> None:
    (kustomization,) = objects("kustomization.yaml")
    (code,) = kustomization["configMapGenerator"]
    assert code["files"] == sorted(f"lamp_driver/{path.name}" for path in (EXAMPLE / "lamp_driver").glob("*.py"))


def test_the_driver_takes_its_options_and_has_its_directories() -> None:
    (daemons,) = [one for one in objects("driver.yaml") if one["kind"] == "DaemonSet"]
    (container,) = daemons["spec"]["template"]["spec"]["containers"]
    options = parse(container["args"])
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(options.kubelet / "plugins"), str(options.kubelet / "plugins_registry"), str(options.cdi)} <= places


def test_the_slice_is_valid() -> None:
    assert validate_slice(published()) == []


def test_class_and_claim_choose_the_bright_lamps() -> None:
    (device_class,) = [one for one in objects("driver.yaml") if one["kind"] == "DeviceClass"]
    template = objects("pod.yaml")[0]
    exactly = template["spec"]["spec"]["devices"]["requests"][0]["exactly"]
    texts = [one["cel"]["expression"] for one in (*device_class["spec"]["selectors"], *exactly["selectors"])]
    chosen = [
        device.name
        for device in published().spec.devices
        if all(compile_selector(text).matches(device_variables(DRIVER, device)) for text in texts)
    ]
    assert chosen == ["lamp-2", "lamp-3"]


async def test_prepares_and_undoes(tmp_path: Path) -> None:
    driver = Lamps(lambda namespace, name, uid: [{"request": "lamp", "pool": "n1", "device": "lamp-2"}], tmp_path)
    claim = pb.Claim(namespace="default", name="light", uid="u1")
    for _ in range(2):
        answer = await driver.prepare(pb.NodePrepareResourcesRequest(claims=[claim]), None)
    (device,) = answer.claims["u1"].devices
    grant = grant_of(device.cdi_device_ids, await asyncio.to_thread(read_specs, (tmp_path,)))
    assert (dict(grant.env), list(grant.devices)) == ({"LAMP_2": "on"}, [("/dev/null", "/dev/lamp-2", "rw")])
    for _ in range(2):
        undone = await driver.unprepare(pb.NodeUnprepareResourcesRequest(claims=[claim]), None)
        assert undone.claims["u1"].error == ""
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_an_error_concerns_one_claim(tmp_path: Path) -> None:
    def devices_of(namespace: str, name: str, uid: str) -> list[dict[str, str]]:
        if name == "bad":
            raise LookupError("claim default/bad was replaced")
        return []

    claims = [pb.Claim(namespace="default", name=name, uid=name) for name in ("bad", "good")]
    answer = await Lamps(devices_of, tmp_path).prepare(pb.NodePrepareResourcesRequest(claims=claims), None)
    assert {uid: result.error for uid, result in answer.claims.items()} == {"bad": "claim default/bad was replaced", "good": ""}
    assert json.loads((tmp_path / f"{DRIVER}-good.json").read_text())["devices"] == []
