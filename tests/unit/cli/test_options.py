"""Options become settings, or a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_origin

import click
import pytest
from click.testing import CliRunner, Result

from tiphys.cli.errors import Failure
from tiphys.cli.options import VERBS, overrides_of, seconds, settings_alone, settings_of, settings_options
from tiphys.daemon.saved import OPTIONS
from tiphys.daemon.settings import ClusterSettings
from tiphys.settings.layers import convert, nest, value_at
from tiphys.settings.option import bound


@pytest.mark.parametrize(
    ("text", "expected"), [("3600", 3600), ("90s", 90), ("90m", 5400), ("24h", 86400), ("1h30m", 5400), ("2d", 172800)]
)
def test_durations(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("tiphys.cli.options", ("asyncio", "yaml", "tiphys.api.core.v1", "google.protobuf")),
        ("tiphys.cli.status, tiphys.daemon.local_storage", ("google.protobuf", "tiphys.csi")),
        ("tiphys.daemon.server", ("google.protobuf", "grpc", "tiphys.csi")),
    ],
    ids=["options", "status", "server"],
)
def test_start_up_loads_only_what_it_needs(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("text", ["", "h", "1x", "-1h", "1.5h"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        seconds(text)


@pytest.mark.parametrize(
    ("options", "port"),
    [({}, 10248), ({"kubelet_port": 11250}, 11248), ({"kubelet_port": 1}, 0), ({"healthz_port": 0}, 0), ({"healthz_port": 9000}, 9000)],
)
def test_the_health_port_follows_the_kubelets_unless_it_is_given(tmp_path: Path, options: dict[str, int], port: int) -> None:
    assert settings_of(tmp_path, options).healthz_port == port


def test_settings_are_remembered_and_changed_by_what_is_given(tmp_path: Path) -> None:
    overrides_of(tmp_path, {"secure_port": 7000, "cluster_domain": None}).save()
    again = settings_of(tmp_path, {"kubelet_port": 7001})
    assert (again.apiserver.port, again.kubelet.port, again.network.domain) == (7000, 7001, "cluster.local")
    assert "cluster_domain" not in (tmp_path / "settings.json").read_text()


def test_flat_settings_of_earlier_versions_are_read(tmp_path: Path) -> None:
    flat = {"data_dir": str(tmp_path), "secure_port": 7000, "pod_range": "10.52.0.0/16", "healthz_port": -1, "request_timeout": 90}
    flat |= {"enable_admission_plugins": "A, B", "token_auth_file": "/gone/tokens.csv", "shutdown_delay": 3, "store": ""}
    (tmp_path / "settings.json").write_text(json.dumps(flat))
    settings = settings_of(tmp_path, {})
    server = settings.apiserver
    assert (server.port, server.request_timeout, server.enable_admission_plugins) == (7000, 90, ("A", "B"))
    assert (server.token_auth_file, server.shutdown_delay) == (Path("/gone/tokens.csv"), 3)
    assert (settings.network.pod_range, settings.kubelet.healthz_port, settings.storage.store) == ("10.52.0.0/16", None, "")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("cluster_cidr", "10.42.0.0", "--cluster-cidr"),
        ("cluster_cidr", "10.42.0.1/16", "--cluster-cidr"),
        ("cluster_cidr", "ten", "--cluster-cidr"),
        ("cluster_cidr", "fd00::/48", "IPv6"),
        ("service_cluster_ip_range", "10.43.0.0/30", "too small"),
        ("service_node_port_range", "32767-30000", "--service-node-port-range"),
    ],
)
def test_values_that_no_cluster_can_have_are_refused_in_words(tmp_path: Path, option: str, value: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        settings_of(tmp_path, {option: value})


@pytest.mark.parametrize("text", ["{", "[]", '{"odd": 1}', '{"options": {"odd": 1}}'])
def test_damaged_settings_are_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(Failure, match=r"settings\.json cannot be read"):
        settings_of(tmp_path, {})


def test_two_directories_never_share_names_on_the_machine(tmp_path: Path) -> None:
    one, other = settings_of(tmp_path / "a", {}), settings_of(tmp_path / "b", {})
    for name in ("bridge", "nft_table", "cgroup_parent", "run_dir"):
        assert getattr(one, name) != getattr(other, name)
    assert len(one.bridge) < 16


ALONE = ("controller-manager", "scheduler", "csi-sidecar")


def run(verb: str, *arguments: str) -> Result:
    """Run a verb of the options alone, which prints what it was given."""

    @click.command()
    @settings_options(VERBS[verb])
    def probe(data_dir: Path, **given: Any) -> None:
        try:
            if verb in ALONE:
                settings_alone(verb, given)
            else:
                settings_of(data_dir, given)
        except Failure as failure:
            raise click.ClickException(str(failure)) from failure
        click.echo(json.dumps({name: value for name, value in given.items() if value is not None}, default=str))

    return CliRunner().invoke(probe, arguments)


def given_by(tmp_path: Path, verb: str, *arguments: str) -> dict[str, Any]:
    result = run(verb, "--data-dir", str(tmp_path), *arguments)
    assert result.exit_code == 0, result.output
    given: dict[str, Any] = json.loads(result.output)
    return given


def test_limits_of_the_api_server_have_their_upstream_names(tmp_path: Path) -> None:
    options = ["--max-requests-inflight", "10", "--max-mutating-requests-inflight", "5", "--request-timeout", "1m30s"]
    options += ["--min-request-timeout", "60", "--shutdown-delay-duration", "5s"]
    assert given_by(tmp_path, "apiserver") == {}, "an option that is not given must not hide other sources"
    given = given_by(tmp_path, "apiserver", *options)
    assert given == {
        "max_requests_inflight": 10,
        "max_mutating_requests_inflight": 5,
        "request_timeout": 90,
        "min_request_timeout": 60,
        "shutdown_delay_duration": 5,
    }
    server = settings_of(tmp_path, given).apiserver
    assert (server.max_requests_inflight, server.max_mutating_requests_inflight, server.request_timeout) == (10, 5, 90.0)
    assert (server.min_request_timeout, server.shutdown_delay) == (60, 5.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [("--leader-elect", True), ("--leader-elect=true", True), ("--leader-elect=false", False), ("--leader-elect=0", False)],
)
def test_switches_are_written_as_upstream_writes_them(tmp_path: Path, text: str, value: bool) -> None:
    assert given_by(tmp_path, "scheduler", text) == {"leader_elect": value}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--secure-port", "0"], "0 is not in the range: it must be at least 1 and at most 65535"),
        (["--secure-port", "many"], "'many' is not a whole number"),
        (["--request-timeout", "1.5h"], "'1.5h' is not a duration"),
        (["--log-level", "loud"], "'loud' is not one of DEBUG, INFO, WARNING, ERROR"),
        (["--token-auth-file", "/gone"], "file '/gone' does not exist"),
        (["--token-auth-file", "/"], "'/' is a directory, not a file"),
        (["--allocate-node-cidrs=perhaps"], "'perhaps' is not a boolean"),
        (["--node-labels", "a"], "'a' is not of the form key=value"),
        (["--register-with-taints", "a=b"], "'a=b' is not of the form key=value:Effect"),
        (["--allowed-unsafe-sysctls", "kernel.pid_max"], "kernel.pid_max"),
    ],
)
def test_values_of_the_wrong_form_are_refused_in_words(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = run("up", "--data-dir", str(tmp_path), *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert arguments[0].partition("=")[0] in result.output


@pytest.mark.parametrize("flag", ["--pod-manifest-path", "--local-storage-dir", "--image-credential-provider-bin-dir"])
def test_directories_are_given_as_such_and_may_come_later(tmp_path: Path, flag: str) -> None:
    name = flag.removeprefix("--").replace("-", "_")
    for path in (tmp_path, tmp_path / "later"):
        assert given_by(tmp_path, "up", flag, str(path)) == {name: str(path)}


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    result = run("up", "--data-dir", str(tmp_path), "--cluster-cidr", "ten", "--service-node-port-range", "9")
    assert "--cluster-cidr" in result.output
    assert "--service-node-port-range" in result.output


@pytest.mark.parametrize("verb", ["controller-manager", "scheduler"])
def test_components_that_run_alone_have_connections_of_their_own(verb: str, tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    settings = settings_alone(verb, {"kubeconfig": tmp_path / "config", "leader_elect": False})
    mine, other = settings.controllers, settings.scheduler
    if verb == "scheduler":
        mine, other = other, mine  # type: ignore[assignment]
    assert (mine.client.kubeconfig, mine.leader_election.leader_elect) == (tmp_path / "config", False)
    assert (other.client.kubeconfig, other.leader_election.leader_elect) == (None, True)


def test_options_of_a_scheduler_count_more_than_its_file(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "leaderElection: {leaseDuration: 30s, retryPeriod: 5s}\n"
    )
    election = settings_alone("scheduler", {"leader_elect_retry_period": 3}, file).scheduler.leader_election
    assert (election.lease_duration, election.retry_period) == (30.0, 3.0)
    file.write_text("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n")
    with pytest.raises(Failure, match=r'kind "KubeletConfiguration" of apiVersion .* is not read here, only KubeSchedulerConfiguration'):
        settings_alone("scheduler", {}, file)


# -- the tree


def test_every_option_changes_its_field_and_nothing_else() -> None:
    sample = {int: 7, str: "x", float: 9.0, Path: Path("/x")}
    for one in OPTIONS.values():
        kind = one.field.type
        if kind is bool:
            value: Any = not one.field.default
        else:
            value = sample[kind] if kind in sample else {"a": "b"} if get_origin(kind) is dict else ("x",)
        tree = nest({one.path: value})
        settings = convert(ClusterSettings, {**tree, "data_dir": "/d", "node_name": tree.get("node_name", "n")})
        default = ClusterSettings(data_dir="/d", node_name="n")
        different = [other.option.flag for other in bound(ClusterSettings) if value_at(settings, other) != value_at(default, other)]
        assert different == [one.option.flag]
        assert value_at(settings, one) == value


@pytest.mark.parametrize("verb", ["up", "server", "apiserver", "node", "controller-manager", "scheduler", "csi-sidecar"])
def test_a_verb_has_no_option_twice(verb: str) -> None:
    flags = [one.option.flag for one in VERBS[verb]]
    assert sorted(set(flags)) == sorted(flags)


def test_every_option_belongs_to_a_verb() -> None:
    taken = {one.path for options in VERBS.values() for one in options}
    assert [one.option.flag for one in bound(ClusterSettings) if one.path not in taken] == []


def test_up_takes_the_options_of_what_it_starts() -> None:
    for verb in ("server", "apiserver", "node"):
        assert {one.path for one in VERBS[verb]} <= {one.path for one in VERBS["up"]}
