"""Bytes that must not become a request, each with the statuses that may refuse it. Data only."""

HOST = b"Host: headway.test\r\n"
GET = b"GET /x HTTP/1.1\r\n" + HOST
POST = b"POST /x HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SECOND = b"GET /second HTTP/1.1\r\n" + HOST + b"\r\n"

ROWS: dict[str, tuple[bytes, set[int]]] = {
    # Two readings of where a body ends.
    "length and chunked": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
        {400},
    ),
    "chunked and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SECOND,
        {400},
    ),
    "length list": (POST + b"Content-Length: 5, 5\r\n\r\nhello" + SECOND, {400}),
    "two equal lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {400}),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400}),
    **{
        f"length {value!r}": (POST + b"Content-Length: " + value + b"\r\n\r\nhello", {400})
        for value in (b"-1", b"+5", b"1e3", b"0x5", b"5 5", b"", b"5;", b"\xb2", b"five", b"0" * 99)
    },
    "length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", {413}),
    "length beyond the limit": (POST + b"Content-Length: 1048577\r\n\r\n", {413}),
    "length beyond the limit, 100-continue": (
        POST + b"Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
        {413},
    ),
    "coding xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", {400, 501}),
    "coding gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", {400, 501}),
    "coding chunked, identity": (
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n",
        {400, 501},
    ),
    "coding identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", {400, 501}),
    "coding empty": (POST + b"Transfer-Encoding:\r\n\r\n", {400}),
    "coding after a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", {400}),
    "coding twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "coding and a space before the colon": (
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "coding in HTTP/1.0": (
        b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    # Host.
    "no Host": (b"GET /x HTTP/1.1\r\n\r\n", {400}),
    "two Hosts": (GET + b"Host: other.test\r\n\r\n", {400}),
    "two equal Hosts": (GET + HOST + b"\r\n", {400}),
    "a list of Hosts": (b"GET /x HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", {400}),
    "a Host with a user": (b"GET /x HTTP/1.1\r\nHost: a@b.test\r\n\r\n", {400}),
    "a Host with a path": (b"GET /x HTTP/1.1\r\nHost: a.test/b\r\n\r\n", {400}),
    "a target for another Host": (
        b"GET http://other.test/x HTTP/1.1\r\n" + HOST + b"\r\n",
        {400},
    ),
    # Lines.
    "bare LF": (b"GET /x HTTP/1.1\nHost: headway.test\n\n", {400}),
    "one bare LF": (b"GET /x HTTP/1.1\r\nHost: headway.test\nA: b\r\n\r\n", {400}),
    "bare CR": (GET + b"A: b\rC: d\r\n\r\n", {400}),
    "CR CR LF": (GET + b"A: b\r\r\n\r\n", {400}),
    "folded header": (GET + b"A: b\r\n c\r\n\r\n", {400}),
    "folded header by a tab": (GET + b"A: b\r\n\tc\r\n\r\n", {400}),
    "first header folded": (b"GET /x HTTP/1.1\r\n A: b\r\n" + HOST + b"\r\n", {400}),
    "two empty lines first": (b"\r\n\r\n" + SECOND, {400}),
    # Header names and values.
    **{
        f"byte {byte:#04x} in a value": (GET + b"A: b" + bytes([byte]) + b"c\r\n\r\n", {400})
        for byte in (0x00, 0x01, 0x07, 0x08, 0x0B, 0x0C, 0x0D, 0x1B, 0x7F)
    },
    **{
        f"name {name!r}": (GET + name + b": b\r\n\r\n", {400})
        for name in (b"A B", b"A ", b" A", b"A\t", b"", b"A\xff", b"A\x00", b"A(", b'A"', b"A/")
    },
    "no colon": (GET + b"nothing\r\n\r\n", {400}),
    # The request line.
    "NUL in the target": (b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "raw bytes in the target": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "fragment in the target": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "relative target": (b"GET foo/bar HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "GET *": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "GET host:443": (b"GET host:443 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "another scheme": (b"GET ftp://headway.test/ HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "CONNECT": (b"CONNECT host:443 HTTP/1.1\r\n" + HOST + b"\r\n", {405, 501}),
    "unknown method": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", {405, 501}),
    "lower-case method": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", {400, 501}),
    "9 KiB method": (b"A" * 9216 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", {400, 501}),
    "no target": (b"GET HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "tab for a space": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "trailing space": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", {400}),
    "HTTP/0.9": (b"GET /\r\n\r\n", {400}),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", {400, 505}),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", {400, 505}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", {400}),
    "http/1.1": (b"GET / http/1.1\r\n" + HOST + b"\r\n", {400}),
    "TLS hello": (bytes.fromhex("16030100c8010000c40303") + b"\x8a" * 40, {400}),
    # Sizes.
    "1 MiB header": (GET + b"A: " + b"b" * 2**20 + b"\r\n\r\n", {431}),
    "10,000 headers": (GET + b"A: b\r\n" * 10_000 + b"\r\n", {431}),
    "101 headers": (GET + b"A: b\r\n" * 100 + b"\r\n", {431}),
    "100 KiB target": (b"GET /" + b"a" * 102_400 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    # Expectations.
    "Expect: x": (POST + b"Expect: x\r\nContent-Length: 5\r\n\r\nhello", {417}),
    # Chunks.
    **{
        f"chunk size {size!r}": (CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n", {400})
        for size in (
            *(b"5_0", b"+5", b"-1", b" 5", b"5 ", b"0x5", b"g", b"", b"5\t;a", b"0" * 17),
            *(b"5;\x00", b"5;a\rb", b"5;a\nb", b"5;" + b"a" * 65_536),
        )
    },
    "chunk size of 2**64 - 1": (CHUNKED + b"f" * 16 + b"\r\n", {413}),
    "chunk longer than it says": (CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", {400}),
    "chunk ended by LF": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", {400}),
    "chunk size ended by LF": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", {400}),
    "65,537 chunks": (CHUNKED + b"1\r\na\r\n" * 65_537 + b"0\r\n\r\n", {400}),
    "chunks beyond the limit": (
        CHUNKED + (b"40000\r\n" + b"a" * 0x40000 + b"\r\n") * 5 + b"0\r\n\r\n",
        {413},
    ),
    "extensions without end": (
        CHUNKED + (b"1;" + b"a" * 1000 + b"\r\na\r\n") * 20 + b"0\r\n\r\n",
        {400},
    ),
    **{
        f"trailer {name!r}": (CHUNKED + b"0\r\n" + name + b": 5\r\n\r\n", {400})
        for name in (b"Content-Length", b"Transfer-Encoding", b"Host", b"AUTHORIZATION", b"A B")
    },
    "trailer without a colon": (CHUNKED + b"0\r\nnothing\r\n\r\n", {400}),
    "trailers without end": (CHUNKED + b"0\r\n" + b"A: bcdefgh\r\n" * 10_000, {400}),
}
"""By name. Limits: 16 KiB and 100 headers of head, 8 KiB of target, 1 MiB of body."""
