"""The examples hang together: images that we can build, names that meet, scripts that parse."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.codec import decode
from tiphys.images.recipe import File, recipes, short_name

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
OTHERS = frozenset(("kustomization.yaml", "testdriver.yaml"))
"""Files without objects: for kustomize, and for upstream's tests of drivers."""
MANIFESTS = sorted(path for path in EXAMPLES.glob("*/*.yaml") if path.name not in OTHERS)
CUSTOM = frozenset(("snapshot.storage.k8s.io/v1",))
"""Groups whose kinds are custom resources."""


def objects(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def named(path: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {made["metadata"]["name"]: made for made in objects(path) if made["kind"] == kind}


def generated(path: Path) -> list[str]:
    """Names of the ConfigMaps that kustomize adds to a manifest."""
    kustomization = path.with_name("kustomization.yaml")
    return [made["name"] for made in objects(kustomization)[0]["configMapGenerator"]] if kustomization.exists() else []


def test_the_examples_are_there() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \|", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted({path.parent.name for path in MANIFESTS})
    for path in MANIFESTS:
        assert path.relative_to(EXAMPLES.parent).as_posix() in (path.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_strict_server_takes_every_object(path: Path) -> None:
    for made in objects(path):
        if made["apiVersion"] in CUSTOM:
            continue
        kind = SCHEME.by_gvk(made["apiVersion"], made["kind"])
        assert kind is not None
        decode(kind.type, json.dumps(made).encode(), validation="Strict")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_images_volumes_and_selectors_meet(path: Path) -> None:
    config_maps = {*named(path, "ConfigMap"), *generated(path)}
    workloads = [made for kind in ("Deployment", "StatefulSet", "DaemonSet") for made in named(path, kind).values()]
    jobs = [*named(path, "Job").values(), *(one["spec"]["jobTemplate"] for one in named(path, "CronJob").values())]
    specs = [made["spec"] for made in (*workloads, *jobs)]
    templates = [spec["template"] for spec in specs]
    for made in workloads:
        assert made["spec"]["selector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"]
    for spec in specs:
        template = spec["template"]
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in config_maps
        for container in template["spec"]["containers"]:
            short_name(container["image"])
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= {*volumes, *claims}
    for service in named(path, "Service").values():
        wanted = service["spec"]["selector"].items()
        (served,) = [template for template in templates if wanted <= template["metadata"]["labels"].items()]
        ports = {port["name"] for container in served["spec"]["containers"] for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"].get("ports", [])} <= ports


def test_the_demo_is_what_the_documentation_says() -> None:
    path = EXAMPLES / "demo" / "demo.yaml"
    deployment = named(path, "Deployment")["demo"]
    assert deployment["spec"]["replicas"] == 3
    assert [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]] == ["web", "nginx"]
    assert named(path, "Service")["demo"]["spec"]["ports"][0]["nodePort"] == 30080


SCRIPTS = [
    (f"{name}:{path}", file.text)
    for name, recipe in recipes().items()
    for path, file in recipe.files.items()
    if isinstance(file, File) and file.text.startswith("#!/bin/sh")
]


@pytest.mark.parametrize("script", [text for _, text in SCRIPTS], ids=[name for name, _ in SCRIPTS])
def test_scripts_in_images_parse(script: str) -> None:
    done = subprocess.run(["/bin/sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
