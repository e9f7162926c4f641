"""Packs the same weights with other codecs, on one thread, and prints JSON lines.

Usage: compare.py DIR, where the Rust benchmark left the numbers as raw bytes and `cases.json`: a list of
{"case": "f32", "dtype": "f32" | "bf16", "file": "…", "base": "…" or null}. For each case that has no base: bits per number,
and MB/s of packing and unpacking. For one with a base: bits of the bytes XORed with the base's, which is what users of these
codecs can do (ZipNN's delta does the same). Each result is unpacked and compared. Speeds are the best of some runs.
"""

import gzip
import json
import lzma
import pathlib
import sys
import time
import types


class Names(types.ModuleType):
    """Stands for a package of which only names are looked at: ZipNN imports torch, also where it packs bytes."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "script":
            return lambda function: function
        return Names(f"{self.__name__}.{name}")

    def __call__(self, *_, **__):
        return lambda function: function


for absent in ("torch", "safetensors", "safetensors.torch"):
    sys.modules[absent] = Names(absent)

import blosc2
import numpy
import openzl.ext as openzl
import zstandard
from pcodec import ChunkConfig, ModeSpec, standalone
from zipnn import ZipNN

# Runs of which the fastest counts; the slow ones are steady enough with one.
FAST_RUNS, SLOW_RUNS = 25, 1
WIDTHS = {"f32": 4, "bf16": 2}


def shuffled(raw, width):
    return numpy.frombuffer(raw, numpy.uint8).reshape(-1, width).T.tobytes()


def unshuffled(raw, width):
    return numpy.frombuffer(raw, numpy.uint8).reshape(width, -1).T.tobytes()


def zstd(level):
    packer, unpacker = zstandard.ZstdCompressor(level=level), zstandard.ZstdDecompressor()
    return lambda raw, _: packer.compress(raw), lambda packed, _: unpacker.decompress(packed)


def shuffle_zstd(level):
    pack, unpack = zstd(level)

    def shuffle_and_pack(raw, dtype):
        return pack(shuffled(raw, WIDTHS[dtype]), dtype)

    def unpack_and_unshuffle(packed, dtype):
        return unshuffled(unpack(packed, dtype), WIDTHS[dtype])

    return shuffle_and_pack, unpack_and_unshuffle


def pack_blosc2(raw, dtype):
    # 2 GB at most, as its format has it.
    return blosc2.compress2(raw, codec=blosc2.Codec.ZSTD, clevel=5, typesize=WIDTHS[dtype], nthreads=1, filters=[blosc2.Filter.SHUFFLE])


def pack_zipnn(raw, dtype):
    name = {"f32": "float32", "bf16": "bfloat16"}[dtype]
    packer = ZipNN(input_format="byte", bytearray_dtype=name, threads=1)
    # It changes what it is given: a copy, whose making is not measured.
    copy = bytearray(raw)
    start = time.perf_counter()
    packed = packer.compress(copy)
    return packed, time.perf_counter() - start


def unpack_zipnn(packed, dtype):
    name = {"f32": "float32", "bf16": "bfloat16"}[dtype]
    unpacker = ZipNN(input_format="byte", bytearray_dtype=name, threads=1)
    start = time.perf_counter()
    return unpacker.decompress(packed), time.perf_counter() - start


def order(bits):
    """Puts floats of 16 bits, which pcodec has not, in the order of their values."""
    return numpy.where(bits >> 15 == 1, ~bits, bits | 0x8000).astype(numpy.uint16)


def unorder(bits):
    return numpy.where(bits >> 15 == 0, ~bits, bits & 0x7FFF).astype(numpy.uint16)


def pack_pco(raw, dtype):
    numbers = numpy.frombuffer(raw, numpy.float32) if dtype == "f32" else order(numpy.frombuffer(raw, numpy.uint16))
    start = time.perf_counter()
    packed = standalone.simple_compress(numbers, ChunkConfig(compression_level=8, mode_spec=ModeSpec.auto()))
    return packed, time.perf_counter() - start


def unpack_pco(packed, dtype):
    start = time.perf_counter()
    numbers = standalone.simple_decompress(packed)
    seconds = time.perf_counter() - start
    return (numbers if dtype == "f32" else unorder(numbers)).tobytes(), seconds


def pack_openzl(raw, dtype):
    compressor = openzl.Compressor()
    rest = openzl.nodes.TransposeSplit()(compressor, openzl.graphs.Compress()) if dtype == "f32" else openzl.graphs.Compress()
    node = openzl.nodes.Float32Deconstruct if dtype == "f32" else openzl.nodes.BFloat16Deconstruct
    graph = node()(compressor, rest, openzl.graphs.Entropy())
    compressor.select_starting_graph(graph)
    context = openzl.CCtx()
    context.ref_compressor(compressor)
    context.set_parameter(openzl.CParam.FormatVersion, openzl.MAX_FORMAT_VERSION)
    numbers = numpy.frombuffer(raw, numpy.uint32 if dtype == "f32" else numpy.uint16)
    return context.compress([openzl.Input(openzl.Type.Numeric, numbers)])


def unpack_openzl(packed, _):
    return bytes(openzl.DCtx().decompress(packed)[0].content.as_nparray())


SYSTEMS = [
    ("gzip", SLOW_RUNS, lambda raw, _: gzip.compress(raw, 6), lambda packed, _: gzip.decompress(packed)),
    ("xz", SLOW_RUNS, lambda raw, _: lzma.compress(raw, preset=6), lambda packed, _: lzma.decompress(packed)),
    ("zstd-3", FAST_RUNS, *zstd(3)),
    ("zstd-19", SLOW_RUNS, *zstd(19)),
    ("shuffle-zstd", SLOW_RUNS, *shuffle_zstd(19)),
    ("blosc2", FAST_RUNS, pack_blosc2, lambda packed, _: blosc2.decompress2(packed)),
    ("zipnn", FAST_RUNS, pack_zipnn, unpack_zipnn),
    ("pcodec", FAST_RUNS, pack_pco, unpack_pco),
    ("openzl", FAST_RUNS, pack_openzl, unpack_openzl),
]


def timed(action):
    """Runs `action`, which may bring its own time, and returns its result and the seconds."""
    start = time.perf_counter()
    result = action()
    if isinstance(result, tuple):
        return result
    return result, time.perf_counter() - start


def measure(system, runs, pack, unpack, raw, dtype):
    """Returns the packed length, and the best seconds of packing and unpacking."""
    packing = unpacking = float("inf")
    for _ in range(runs):
        packed, seconds = timed(lambda: pack(raw, dtype))
        packing = min(packing, seconds)
        back, seconds = timed(lambda: unpack(packed, dtype))
        unpacking = min(unpacking, seconds)
    if bytes(back) != raw:
        raise SystemExit(f"{system} does not give {dtype} back")
    return len(packed), packing, unpacking


def report(system, case, value, unit):
    print(json.dumps({"bench": "engram", "system": system, "case": case, "value": value, "unit": unit}), flush=True)


def main(folder):
    for case in json.loads((folder / "cases.json").read_text()):
        name, dtype = case["case"], case["dtype"]
        raw = (folder / case["file"]).read_bytes()
        numbers = len(raw) // WIDTHS[dtype]
        if case["base"]:
            base = numpy.fromfile(folder / case["base"], numpy.uint8)
            raw = (numpy.frombuffer(raw, numpy.uint8) ^ base).tobytes()
        for system, runs, pack, unpack in SYSTEMS:
            length, packing, unpacking = measure(system, runs, pack, unpack, raw, dtype)
            report(system, f"bits_{name}", round(8 * length / numbers, 4), "bits/number")
            report(system, f"compress_{name}", round(len(raw) / packing / 1e6, 1), "MB/s")
            report(system, f"decompress_{name}", round(len(raw) / unpacking / 1e6, 1), "MB/s")


main(pathlib.Path(sys.argv[1]))
