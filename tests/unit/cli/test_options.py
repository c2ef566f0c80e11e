"""Options become settings, or a sentence."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tiphys.cli.errors import Failure
from tiphys.cli.options import seconds, settings_of


@pytest.mark.parametrize(
    ("text", "expected"), [("3600", 3600), ("90s", 90), ("90m", 5400), ("24h", 86400), ("1h30m", 5400), ("2d", 172800)]
)
def test_durations(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "1x", "-1h", "1.5h"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        seconds(text)


@pytest.mark.parametrize(
    ("options", "port"),
    [({}, 10248), ({"kubelet_port": 11250}, 11248), ({"kubelet_port": 1}, 0), ({"healthz_port": 0}, 0), ({"healthz_port": 9000}, 9000)],
)
def test_the_health_port_follows_the_kubelets_unless_it_is_given(tmp_path: Path, options: dict[str, int], port: int) -> None:
    assert settings_of(tmp_path, options).node_healthz_port == port


def test_settings_are_remembered_and_changed_by_what_is_given(tmp_path: Path) -> None:
    settings_of(tmp_path, {"secure_port": 7000, "domain": None}).save()
    again = settings_of(tmp_path, {"kubelet_port": 7001})
    assert (again.secure_port, again.kubelet_port, again.domain) == (7000, 7001, "cluster.local")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("pod_range", "10.42.0.0", "--cluster-cidr"),
        ("pod_range", "10.42.0.1/16", "--cluster-cidr"),
        ("pod_range", "ten", "--cluster-cidr"),
        ("pod_range", "fd00::/48", "IPv6"),
        ("service_range", "10.43.0.0/30", "too small"),
        ("node_ports", "32767-30000", "--service-node-port-range"),
    ],
)
def test_values_that_no_cluster_can_have_are_refused_in_words(tmp_path: Path, option: str, value: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        settings_of(tmp_path, {option: value})


def test_damaged_settings_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(Failure, match=r"settings\.json cannot be read"):
        settings_of(tmp_path, {})


def test_two_directories_never_share_names_on_the_machine(tmp_path: Path) -> None:
    one, other = settings_of(tmp_path / "a", {}), settings_of(tmp_path / "b", {})
    for name in ("bridge", "nft_table", "cgroup_parent", "run_dir"):
        assert getattr(one, name) != getattr(other, name)
    assert len(one.bridge) < 16


def test_limits_of_the_api_server_have_their_upstream_names(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from tiphys.cli.options import settings_options

    found: dict[str, object] = {}

    @click.command()
    @settings_options
    def probe(data_dir: Path, **given: object) -> None:
        found.update({name: getattr(settings_of(data_dir, given), name) for name, value in given.items() if value is not None})

    options = ["--max-requests-inflight", "10", "--max-mutating-requests-inflight", "5", "--request-timeout", "1m30s"]
    options += ["--min-request-timeout", "60", "--shutdown-delay-duration", "5s"]
    result = CliRunner().invoke(probe, ["--data-dir", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    assert found == {
        "max_requests_inflight": 10,
        "max_mutating_requests_inflight": 5,
        "request_timeout": 90,
        "min_request_timeout": 60,
        "shutdown_delay": 5,
    }
