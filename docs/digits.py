#!/usr/bin/env python3
"""Makes `www/digits.bin` from the digits that scikit-learn carries. Reproducible: same input, same bytes.

    pip install scikit-learn        # made with 1.9.1; the data has not changed since 2010
    python3 docs/digits.py          # writes www/digits.bin and prints its size and SHA-256

Format, integers little-endian (reader: core/src/learner/digits.rs):

    offset  size  what
    0       4     magic "CHDG"
    4       1     version, 1
    5       1     side of the square image in pixels, 8
    6       1     number of classes, 10
    7       1     greatest pixel value, 16
    8       20    training samples of each class 0..=9, u16 each
    28      20    held-out samples of each class 0..=9, u16 each
    48      4     length of the body before compression, u32 = 64 * samples
    52      ..    body, raw DEFLATE (RFC 1951)

Body: 64 planes, plane p holding pixel p (row-major) of every sample, one byte each. Sorting the samples by class and
laying pixels out in planes compresses best (36.0 kB; plain order 42.7 kB) and makes labels unnecessary. Samples come
in the order: training class 0, 1, .. 9, then held-out class 0, 1, .. 9; inside a class as scikit-learn has them.

Split: of each class, the 36 samples whose SHA-256 of "chorus digits <index>" is lowest are held out: 360 of 1797.
"""

import hashlib
import pathlib
import struct
import zlib

from sklearn.datasets import load_digits

HELD_OUT_PER_CLASS = 36
CLASSES = 10


def rank(index: int) -> bytes:
    return hashlib.sha256(f"chorus digits {index}".encode()).digest()


def main() -> None:
    digits = load_digits()
    images = digits.data.astype("uint8")
    assert images.shape == (1797, 64) and images.max() == 16

    train, test = [], []
    for label in range(CLASSES):
        members = [i for i in range(len(images)) if digits.target[i] == label]
        held = set(sorted(members, key=rank)[:HELD_OUT_PER_CLASS])
        train.append([i for i in members if i not in held])
        test.append([i for i in members if i in held])

    order = [i for group in train + test for i in group]
    body = images[order].T.tobytes()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)
    packed = deflate.compress(body) + deflate.flush()

    header = b"CHDG" + bytes([1, 8, CLASSES, 16])
    header += struct.pack("<10H", *map(len, train)) + struct.pack("<10H", *map(len, test))
    header += struct.pack("<I", len(body))
    out = pathlib.Path(__file__).parents[1] / "www" / "digits.bin"
    out.write_bytes(header + packed)
    print(out.stat().st_size, hashlib.sha256(out.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
