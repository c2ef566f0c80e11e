from __future__ import annotations

from pathlib import Path

import dns.message
import pytest

from tiphys.dns.upstream import Resolvers, answers, is_truncated, parse_servers, question_end


def test_the_machines_name_servers() -> None:
    text = "# x\nsearch a b\nnameserver 192.0.2.53\nnameserver 10.43.0.10\nnameserver\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n"
    assert parse_servers(text, exclude=frozenset(("10.43.0.10",))) == ["192.0.2.53", "192.0.2.54"]
    many = "".join(f"nameserver 192.0.2.{n}\n" for n in range(9))
    assert len(parse_servers(many, exclude=frozenset())) == 3


def test_a_changed_file_is_read_again_and_a_failing_server_comes_last(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    resolvers = Resolvers(path, exclude=frozenset())
    assert resolvers.servers() == []
    path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert resolvers.servers() == ["192.0.2.1", "192.0.2.2"]
    resolvers.failed("192.0.2.1")
    assert resolvers.servers() == ["192.0.2.2", "192.0.2.1"]
    other = tmp_path / "new"
    other.write_text("nameserver 192.0.2.3\n")
    other.replace(path)
    assert resolvers.servers() == ["192.0.2.3"]
    path.unlink()
    assert resolvers.servers() == []


def test_only_the_answer_to_the_question_counts() -> None:
    query = dns.message.make_query("www.Example.org", "A")
    wire = query.to_wire()
    good = dns.message.make_response(query).to_wire()
    assert answers(wire, good)
    assert answers(wire, good.replace(b"Example", b"eXample"))
    assert answers(wire, good[:4] + bytes(8)), "a refusal may leave the question out"
    assert not answers(wire, wire), "a question"
    assert not answers(wire, bytes((good[0] ^ 1,)) + good[1:]), "another id"
    assert not answers(wire, good.replace(b"Example", b"Exampla"))
    for length in range(len(good)):
        answers(wire, good[:length])
    assert question_end(wire) == len(wire)
    with pytest.raises(IndexError):
        question_end(wire[:-1])


def test_truncation_is_seen() -> None:
    response = dns.message.make_response(dns.message.make_query("a.b", "A"))
    assert not is_truncated(response.to_wire())
    response.flags |= dns.flags.TC
    assert is_truncated(response.to_wire())
