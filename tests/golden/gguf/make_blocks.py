"""Writes blocks.safetensors: what ggml's own functions make of a few rows.

Usage: make_blocks.py LIBGGML_BASE
where LIBGGML_BASE is the shared library libggml-base.so of llama.cpp, for example of npm's node-llama-cpp.
"""
import ctypes
import json
import pathlib
import random
import struct
import sys

N_COLS = 256
# Name: (weights of a block, bytes of a block, offsets of its float16 fields)
KINDS = {"Q8_0": (32, 34, (0,)), "Q4_0": (32, 18, (0,)), "Q4_1": (32, 20, (0, 2)), "Q5_0": (32, 22, (0,)),
         "Q5_1": (32, 24, (0, 2)), "Q4_K": (256, 144, (0, 2)), "Q5_K": (256, 176, (0, 2)), "Q6_K": (256, 210, (208,))}


def rows(rng):
    """Like trained weights; one sign with an outlier; zeros and halves of a step; tiny and large ones."""
    yield [rng.gauss(0, 0.05) for _ in range(N_COLS)]
    yield [abs(rng.gauss(0, 1)) + (9 if col % 64 == 17 else 0) for col in range(N_COLS)]
    yield [0.0 if col < 64 else (col % 17 - 8) * 0.5 for col in range(N_COLS)]
    yield [rng.uniform(-1, 1) * 10.0 ** rng.uniform(-6, 2) for _ in range(N_COLS)]


def main():
    ggml = ctypes.CDLL(sys.argv[1])
    rng = random.Random(1)
    floats = struct.pack("<%df" % (4 * N_COLS), *[value for row in rows(rng) for value in row])
    tensors = {"input": ("F32", [4, N_COLS], floats)}
    for name, (n_weights, n_bytes, halves) in KINDS.items():
        function = name.lower().replace("_k", "_K")
        row_bytes = N_COLS // n_weights * n_bytes
        blocks = ctypes.create_string_buffer(4 * row_bytes)
        getattr(ggml, "quantize_row_%s_ref" % function)(floats, blocks, ctypes.c_int64(4 * N_COLS))
        any_bits = bytearray(rng.randbytes(row_bytes))
        for begin in range(0, row_bytes, n_bytes):
            for offset in halves:
                struct.pack_into("<e", any_bits, begin + offset, rng.gauss(0, 0.05))
        for suffix, data, n_rows in ((".blocks", blocks.raw, 4), (".any_blocks", bytes(any_bits), 1)):
            weights = ctypes.create_string_buffer(4 * n_rows * N_COLS)
            getattr(ggml, "dequantize_row_%s" % function)(data, weights, ctypes.c_int64(n_rows * N_COLS))
            tensors[name + suffix] = ("U8", [n_rows, row_bytes], data)
            tensors[name + suffix.replace("blocks", "weights")] = ("F32", [n_rows, N_COLS], weights.raw)
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = pathlib.Path(__file__).with_name("blocks.safetensors")
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


main()
