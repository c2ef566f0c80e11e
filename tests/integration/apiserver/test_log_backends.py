"""Kubelets whose certificate the API server does not trust, and logs read from them all the same (`insecureSkipTLSVerifyBackend`)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tests.integration.apiserver.api import NS, PODS, Api, pod
from tests.integration.apiserver.conftest import with_default_account
from tests.integration.apiserver.test_proxy_targets import with_node
from tiphys.testing.api_server import running_api_server
from tiphys.testing.certificates import issue


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One line of a log for whoever asks."""
    await reader.readuntil(b"\r\n\r\n")
    caller = writer.get_extra_info("ssl_object").getpeercert()["subject"]
    name = dict(pair for group in caller for pair in group)["commonName"]
    line = f"hello {name}\n".encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(line), line))
    writer.close()


async def test_only_who_asks_for_it_reads_logs_of_a_kubelet_that_nobody_vouches_for(keys: Path, tmp_path: Path) -> None:
    stranger = issue("kubelet", issue("somebody's authority"))
    (tmp_path / "pair").write_bytes(stranger.cert_pem + stranger.key_pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "pair")
    tls.verify_mode = ssl.CERT_REQUIRED
    kubelet = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    where = kubelet.sockets[0].getsockname()
    async with running_api_server(keys, local_kubelets={"n": where}) as (server, _):
        tls.load_verify_locations(keys / "pki/ca.crt")
        api = Api(server)
        await with_default_account(api)
        await with_node(api, "n", "127.0.0.1")
        assert (await api.post(PODS, pod("a", node="n"))).status == 201
        for query in ("", "?insecureSkipTLSVerifyBackend=false"):
            refused = await api.get(f"{PODS}/a/log{query}")
            assert (refused.status, refused.reason) == (503, "ServiceUnavailable")
            assert "certificate verify failed" in refused.message
        response = await api.respond("GET", f"{NS}/pods/a/log?insecureSkipTLSVerifyBackend=true")
        assert response.status == 200
        assert response.stream is not None
        # The kubelet's certificate counts for nothing, but the server still shows its own.
        assert b"".join([part async for part in response.stream]) == b"hello kube-apiserver-kubelet-client\n"
    kubelet.close()
    await kubelet.wait_closed()
