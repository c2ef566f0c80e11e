import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy_dictionary import SPDY_DICTIONARY, SPDY_DICTIONARY_ID
from tiphys.wire.spdy_headers import MAX_HEADER_BLOCK, HeaderCompressor, HeaderDecompressor

NAMES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="ABCDEFGHIJKLMNOPQRSTUVWXYZ"), min_size=1, max_size=40
)
VALUES = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=200)


def test_dictionary_is_the_one_of_the_specification() -> None:
    assert len(SPDY_DICTIONARY) == 1423
    assert zlib.adler32(SPDY_DICTIONARY) == SPDY_DICTIONARY_ID


def test_block_written_by_another_implementation() -> None:
    # A header block that zlib made from the words of the specification directly: 1 pair, "streamtype: error".
    plain = b"\0\0\0\1" + b"\0\0\0\x0astreamtype" + b"\0\0\0\x05error"
    other = zlib.compressobj(zdict=SPDY_DICTIONARY)
    block = other.compress(plain) + other.flush(zlib.Z_SYNC_FLUSH)
    assert HeaderDecompressor().decompress(block) == (("streamtype", "error"),)


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=8), max_size=5))
def test_round_trip_over_several_blocks(blocks: list[dict[str, str]]) -> None:
    compressor, decompressor = HeaderCompressor(), HeaderDecompressor()
    for block in blocks:
        assert decompressor.decompress(compressor.compress(block.items())) == tuple(block.items())


def test_repeated_names_are_one_entry_with_several_values() -> None:
    block = HeaderCompressor().compress([("A", "1"), ("b", "2"), ("a", "3")])
    assert HeaderDecompressor().decompress(block) == (("a", "1"), ("a", "3"), ("b", "2"))


def test_bomb_is_refused() -> None:
    bomb = HeaderCompressor().compress([("a", "x" * (50 * MAX_HEADER_BLOCK))])
    assert len(bomb) < MAX_HEADER_BLOCK
    with pytest.raises(ProtocolError, match="larger than"):
        HeaderDecompressor().decompress(bomb)


@pytest.mark.parametrize(
    "plain",
    [b"", b"\0\0\0\1", b"\0\0\0\1\0\0\0\xff", b"\0\0\0\0extra", b"\0\0\0\1\0\0\0\0\0\0\0\0", b"\xff\xff\xff\xff"],
)
def test_broken_blocks_are_refused(plain: bytes) -> None:
    other = zlib.compressobj(zdict=SPDY_DICTIONARY)
    with pytest.raises(ProtocolError):
        HeaderDecompressor().decompress(other.compress(plain) + other.flush(zlib.Z_SYNC_FLUSH))


@given(st.binary(max_size=300))
def test_garbage_raises_only_protocol_errors(garbage: bytes) -> None:
    decompressor = HeaderDecompressor()
    for _ in range(2):
        try:
            decompressor.decompress(garbage)
        except ProtocolError:
            return
