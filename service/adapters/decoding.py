"""Undoes the compression of an answer as its bytes come.

zlib reads the two codings that are in use, gzip and deflate, from their own beginnings. Unlike a decoder that only gives what it got,
this one knows whether the compressed data came to its end: half of it is no answer, whatever the length in the header says.

Source: RFC 9110 §8.4.1; RFC 1950; RFC 1952 §2.2 (members).
"""

import zlib
from collections.abc import Iterable, Iterator

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def decoded(chunks: Iterable[bytes], piece_bytes: int) -> Iterator[bytes]:
    """Yield the content of compressed chunks, in pieces of at most ``piece_bytes``, however far the data expands.

    Raises:
        ValueError: They are damaged, or break off.
    """
    decoder = None
    for chunk in chunks:
        rest = chunk
        while rest:
            decoder = decoder or zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = decoder.decompress(rest, piece_bytes)
            except zlib.error:
                raise ValueError("the compressed data is damaged") from None
            if piece:
                yield piece
            if decoder.eof:  # what follows is another member
                rest, decoder = decoder.unused_data, None
            else:
                rest = decoder.unconsumed_tail
    if decoder is not None:
        raise ValueError("the compressed data breaks off")
