"""HPACK beside a library that others use: what it writes is read, and what we write it reads."""

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.server import huffman
from headway.server.hpack import BlockError, Decoder, encode

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
NAMES = st.sampled_from([":path", ":method", "te", "x-a", "authorization", "grpc-timeout"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


@given(st.binary(max_size=200))
def test_huffman_is_read_as_the_library_writes_it(data: bytes) -> None:
    assert huffman.decode(HUFFMAN.encode(data)) == data


@given(st.binary(max_size=40))
def test_any_bytes_are_huffman_or_refused_as_by_the_library(data: bytes) -> None:
    from hpack.huffman_table import decode_huffman

    try:
        expected = bytes(decode_huffman(data))
    except hpack.HPACKDecodingError:
        with pytest.raises(huffman.Malformed):
            huffman.decode(data)
    else:
        assert huffman.decode(data) == expected


@settings(max_examples=200)
@given(
    st.lists(st.tuples(PAIRS, st.booleans(), st.sampled_from([None, 0, 64, 500, 4096])), max_size=8)
)
def test_blocks_of_one_connection_are_read_as_the_library_writes_them(
    blocks: list[tuple[list[tuple[str, str]], bool, int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(2**20, 100)
    for pairs, is_huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        raw = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
        fields = decoder.decode(encoder.encode(raw, huffman=is_huffman))
        assert list(fields.pairs) == pairs
        assert not fields.is_too_large


@given(PAIRS)
def test_what_we_write_is_read_by_the_library(pairs: list[tuple[str, str]]) -> None:
    read = hpack.Decoder().decode(encode(pairs), raw=True)
    assert [(n.decode(), v.decode("latin-1")) for n, v in read] == pairs


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_any_bytes_are_a_block_or_refused_as_by_the_library(blocks: list[bytes]) -> None:
    ours, theirs = Decoder(2**20, 1000), hpack.Decoder()
    for block in blocks:
        try:
            expected = theirs.decode(block, raw=True)
        except (hpack.HPACKError, UnicodeDecodeError):
            # It reads numbers of any size, and empty blocks that change the table's size.
            with pytest.raises(BlockError):
                ours.decode(block)
            return
        try:
            fields = ours.decode(block)
        except BlockError as e:
            told = str(e)
        else:
            told = ""
        if told:
            assert "number" in told or "table's size" in told
            return
        assert [(n.encode("latin-1"), v.encode("latin-1")) for n, v in fields.pairs] == list(
            expected
        )


def test_a_block_that_repeats_itself_is_remembered_until_the_table_changes() -> None:
    encoder, decoder = hpack.Encoder(), Decoder(4096, 100)
    decoder.decode(encoder.encode([("a", "b")]))
    block = encoder.encode([("a", "b")])
    first = decoder.decode(block)
    assert decoder.decode(block) is first
    decoder.decode(encoder.encode([("c", "d")]))
    again = decoder.decode(block)
    assert again is not first  # its index means something else now
    assert again.pairs == (("c", "d"),)


def test_what_is_too_large_is_read_past_and_the_table_follows() -> None:
    encoder, decoder = hpack.Encoder(), Decoder(200, 5)
    large = decoder.decode(encoder.encode([("a", "x" * 300), ("b", "c")]))
    assert (large.is_too_large, large.pairs) == (True, ())
    assert decoder.decode(encoder.encode([("b", "c")])).pairs == (("b", "c"),)
    many = decoder.decode(encoder.encode([("a", "b")] * 6))
    assert (many.is_too_large, len(many.pairs)) == (True, 5)


def test_a_bomb_of_references_costs_no_memory() -> None:
    encoder, decoder = hpack.Encoder(), Decoder(16_384, 100)
    value = "x" * 4000
    decoder.decode(encoder.encode([("a", value)]))
    fields = decoder.decode(b"\xbe" * 100_000)
    assert fields.is_too_large
    assert len(fields.pairs) <= 100
