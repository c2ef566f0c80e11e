"""Options, a configuration file and defaults: what counts, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiphys.cli.errors import Failure
from tiphys.cli.options import overrides_of, settings_from, settings_of
from tiphys.daemon.controllers import controllers_of
from tiphys.daemon.saved import cluster_settings, load
from tiphys.daemon.settings import SettingsError

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(HEAD + text)
    return path


def test_options_count_more_than_the_file_and_that_more_than_defaults(tmp_path: Path) -> None:
    file = config(tmp_path, "maxPods: 50\npodPidsLimit: 100\n")
    settings = settings_of(tmp_path, {"config": file, "max_pods": 60, "node_name": None})
    assert (settings.kubelet.max_pods, settings.kubelet.pod_max_pids, settings.kubelet.port) == (60, 100, 10250)


def test_a_saved_option_counts_more_than_a_file_that_comes_later(tmp_path: Path) -> None:
    overrides_of(tmp_path, {"max_pods": 60}).save()
    settings = settings_of(tmp_path, {"config": config(tmp_path, "maxPods: 50\npodPidsLimit: 100\n")})
    assert (settings.kubelet.max_pods, settings.kubelet.pod_max_pids) == (60, 100)


def test_a_file_replaces_what_the_last_one_set(tmp_path: Path) -> None:
    overrides_of(tmp_path, {"config": config(tmp_path, "maxPods: 50\npodPidsLimit: 100\n")}).save()
    assert settings_of(tmp_path, {}).kubelet.max_pods == 50
    overrides_of(tmp_path, {"config": config(tmp_path, "podPidsLimit: 200\n")}).save()
    kubelet = settings_of(tmp_path, {}).kubelet
    assert (kubelet.max_pods, kubelet.pod_max_pids) == (110, 200)


def test_only_what_was_given_is_saved(tmp_path: Path) -> None:
    overrides_of(tmp_path, {"secure_port": 7000, "config": config(tmp_path, "maxPods: 50\n")}).save()
    saved = json.loads((tmp_path / "settings.json").read_text())
    assert saved == {"data_dir": str(tmp_path), "options": {"secure_port": 7000}, "config": {"kubelet": {"max_pods": 50}}}
    assert load(tmp_path) == overrides_of(tmp_path, {})


def test_a_file_with_mistakes_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    overrides_of(tmp_path, {"config": config(tmp_path, "maxPods: 50\n")}).save()
    with pytest.raises(Failure, match=r"has 2 problems:\n  KubeletConfiguration: maxPods: .*\n  KubeletConfiguration: port: "):
        overrides_of(tmp_path, {"config": config(tmp_path, "maxPods: many\nport: 0.5\n")})
    assert settings_of(tmp_path, {}).kubelet.max_pods == 50


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"gone.yaml cannot be read \(No such file or directory\): give another file with --config"):
        overrides_of(tmp_path, {"config": tmp_path / "gone.yaml"})


def test_values_that_contradict_each_other_are_told_together(tmp_path: Path) -> None:
    given = overrides_of(tmp_path, {"cluster_cidr": "ten", "leader_elect_lease_duration": 1, "requestheader_uid_headers": ("X-Id",)})
    with pytest.raises(Failure) as caught:
        settings_from(given)
    for option in ("--cluster-cidr", "--leader-elect-lease-duration", "--requestheader-uid-headers"):
        assert option in str(caught.value)


# -- the controllers that settings choose


def names(tmp_path: Path, *controllers: str, **options: object) -> set[str]:
    settings = cluster_settings(tmp_path, controllers=controllers, **options)
    return {one.declaration.name for one in controllers_of(settings, certificate=tmp_path / "ca.crt", key=tmp_path / "ca.key")}


def test_all_controllers_run_by_default(tmp_path: Path) -> None:
    every = names(tmp_path, "*")
    assert {"deployment", "csrsigning", "root-ca-cert-publisher", "node-ipam"} <= every
    assert names(tmp_path, "*", "-deployment", "-node-lifecycle-controller") == every - {"deployment", "node"}
    assert names(tmp_path, "-deployment", "*", "deployment") == every - {"deployment"}, "the first name decides"
    assert names(tmp_path, "*", allocate_node_cidrs=False) == every - {"node-ipam"}


@pytest.mark.parametrize("name", ["deployment", "deployment-controller"])
def test_controllers_are_named_as_upstream_names_them(tmp_path: Path, name: str) -> None:
    assert names(tmp_path, name) == {"deployment"}


def test_unknown_controllers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--controllers: unknown odd, even; known are .*deployment"):
        names(tmp_path, "*", "odd", "-even")


def test_settings_of_loops_reach_them(tmp_path: Path) -> None:
    settings = cluster_settings(tmp_path, cluster_cidr="10.9.0.0/16", node_cidr_mask_size=25, controllers=("node-ipam",))
    (loop,) = controllers_of(settings)
    assert (str(loop._cluster), loop._mask) == ("10.9.0.0/16", 25)  # type: ignore[attr-defined]
