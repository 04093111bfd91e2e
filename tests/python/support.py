"""What several tests of the package use."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lille import Model, _lille

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "lille-tiny-8bit"
SHARED = ROOT.parent / "shared"

_DTYPES = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "U8": np.uint8, "U32": np.uint32}


def need_shared() -> None:
    """Skips the test where ../shared is missing; fails it where it has to be there."""
    if (SHARED / "golden" / "README.md").exists():
        return
    if os.environ.get("LILLE_REQUIRE_SHARED") == "1":
        pytest.fail("../shared is required and missing")
    pytest.skip("needs ../shared, which a clone does not have")


def read_safetensors(path: Path) -> dict[str, Any]:
    """All tensors of a file."""
    content = path.read_bytes()
    n_header = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n_header])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + n_header + offset for offset in entry["data_offsets"])
        values = np.frombuffer(content[begin:end], dtype=_DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def load_model(path: Path, rope: str = "interleaved", threads: int = 1) -> Model:
    """A model of the golden data, which has no tokenizer."""
    return _lille.load_model(path, rope=rope, threads=threads, exact=False, kernels="", cache_folder="")


def run_lille(*arguments: str) -> str:
    """What the program prints."""
    return subprocess.run(
        [os.environ["LILLE_PROGRAM"], *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def token_logprobs(logits: Any, tokens: Any) -> Any:
    """ln p of a token under each row of logits, by its formula."""
    peaks = logits.max(axis=-1, keepdims=True)
    sums = np.exp(logits - peaks).sum(axis=-1, dtype=np.float64)
    chosen = np.take_along_axis(logits - peaks, np.asarray(tokens)[:, None], axis=-1)[:, 0]
    return chosen - np.log(sums)
