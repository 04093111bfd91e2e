"""Logits and hidden states, against MLX, PyTorch and the program."""

import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT, TINY, load_model, read_safetensors, run_lille, token_logprobs

import lille
from lille import _lille

MLX = ROOT / "tests" / "golden" / "mlx"
TORCH = ROOT / "tests" / "golden" / "torch"
# How far two correct float32 programs are apart, by the golden data's own account.
MLX_TOLERANCE = 3e-4
TORCH_TOLERANCE = 1e-4


@pytest.mark.parametrize("name", ["toy", "odd"])
def test_logits_and_hidden_states_are_mlxs(name: str) -> None:
    model = load_model(MLX / name)
    golden = read_safetensors(MLX / name / "expected.safetensors")
    for idx in range(4):
        tokens = golden[f"seq{idx}.tokens"]
        logits = model(tokens)
        assert logits.dtype == np.float32
        assert logits.shape == (len(tokens), model.args.vocab_size)
        np.testing.assert_allclose(logits, golden[f"seq{idx}.logits_ref64"], rtol=0, atol=MLX_TOLERANCE)
        if idx < 3:
            hidden = model.hidden_states(tokens)
            assert hidden.shape == (model.args.n_layer + 2, len(tokens), model.args.n_embd)
            np.testing.assert_allclose(hidden, golden[f"seq{idx}.hidden"], rtol=0, atol=MLX_TOLERANCE)
    batch = model(golden["batch.tokens"])
    assert batch.shape == golden["batch.logits"].shape
    np.testing.assert_allclose(batch, golden["batch.logits"], rtol=0, atol=MLX_TOLERANCE)


@pytest.mark.parametrize("rope", ["interleaved", "half", "original"])
def test_each_rotary_layout_is_pytorchs(rope: str) -> None:
    model = load_model(TORCH / "toy", rope=rope)
    golden = read_safetensors(TORCH / "toy" / f"expected_{rope}.safetensors")
    assert model.rope_layout == rope
    np.testing.assert_allclose(model(golden["ids"]), golden["logits"], rtol=0, atol=TORCH_TOLERANCE)
    hidden = model.hidden_states(golden["ids"])
    for layer in range(model.args.n_layer + 1):
        np.testing.assert_allclose(hidden[layer], golden[f"hidden_{layer}"], rtol=0, atol=TORCH_TOLERANCE)


def test_numbers_are_the_programs(model: lille.Model, tmp_path: Path) -> None:
    file = tmp_path / "logits.safetensors"
    ids = [32767, 7454, 2402, 257, 640]
    run_lille("logits", "--model", str(TINY), "--ids", ",".join(map(str, ids)), "--output", str(file), "--hidden")
    tensors = read_safetensors(file)
    assert np.array_equal(model.logits(ids), tensors["logits"].reshape(len(ids), -1))
    hidden = model.hidden_states(ids)
    for layer in range(model.args.n_layer + 1):
        assert np.array_equal(hidden[layer], tensors[f"hidden_{layer}"].reshape(len(ids), -1))
    assert np.array_equal(hidden[-1], tensors["hidden_norm"].reshape(len(ids), -1))


def test_a_cache_continues_and_trims() -> None:
    model = load_model(MLX / "toy")
    tokens = read_safetensors(MLX / "toy" / "expected.safetensors")["seq3.tokens"]
    whole = model(tokens)
    cache = lille.make_prompt_cache(model)
    assert (cache.offset, cache.capacity, cache.tokens) == (0, model.args.block_size, [])
    parts = [model(tokens[:20], cache), model(tokens[20:21], cache), model(tokens[21:], cache=cache)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert cache.tokens == tokens.tolist()
    assert cache.trim(4) == 4
    assert np.array_equal(model(tokens[-4:], cache), whole[-4:])
    with pytest.raises(ValueError, match="expected at most 0"):
        model([1], cache)
    assert cache.offset == len(tokens)
    assert cache.trim(-1) == 0


def test_what_fails_leaves_the_cache_as_it_was(model: lille.Model) -> None:
    cache = lille.make_prompt_cache(model)
    model([1, 2, 3], cache)
    # In the second pass, so that the first has read something.
    with pytest.raises(ValueError, match="got 32768"):
        model([5] * 200 + [model.args.vocab_size], cache)
    assert cache.tokens == [1, 2, 3]


def test_caches_go_to_files_and_back(model: lille.Model, tmp_path: Path) -> None:
    cache = lille.make_prompt_cache(model)
    model([1, 2, 3], cache)
    lille.save_prompt_cache(tmp_path / "cache", cache)
    again = lille.load_prompt_cache(tmp_path / "cache", model)
    assert again.tokens == [1, 2, 3]
    assert np.array_equal(model([4], again), model([4], cache))
    with pytest.raises(FileNotFoundError, match="none"):
        lille.load_prompt_cache(tmp_path / "none", model)
    (tmp_path / "bad").write_bytes(b"no cache")
    with pytest.raises(OSError, match="bad"):
        lille.load_prompt_cache(tmp_path / "bad", model)


@pytest.mark.parametrize(
    "tokens",
    [
        (3, 1, 2),
        np.array([3, 1, 2], dtype=np.int64),
        np.array([3, 1, 2], dtype=np.uint16),
        np.array([3, 9, 1, 9, 2], dtype=np.int32)[::2],
        np.array([3, 1, 2], dtype=">i8"),
        [np.int32(3), 1, 2],
    ],
)
def test_any_integers_are_tokens(tokens: Any) -> None:
    model = load_model(MLX / "toy")
    assert np.array_equal(model(tokens), model([3, 1, 2]))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "at least one"),
        ([[], []], "at least one"),
        ([0.5], "expected token ids, got list of float64"),
        ("text", "expected token ids, got str"),
        (None, "expected token ids"),
        ([True], "expected token ids, got list of bool"),
        ([[[1]]], "expected one dimension"),
        (5, "expected one dimension"),
        ([-1], "got -1"),
        ([512], "got 512"),
        ([2**31], "got 2147483648"),
        (np.array([2**64 - 1], dtype=np.uint64), "got 18446744073709551615"),
        ([1] * 65, "expected at most 64"),
    ],
)
def test_other_tokens_are_refused(tokens: Any, message: str) -> None:
    model = load_model(MLX / "toy")
    with pytest.raises(ValueError, match=message):
        model(tokens)


def test_arrays_own_their_numbers() -> None:
    model = load_model(MLX / "toy")
    logits, hidden = model([1, 2]), model.hidden_states([1, 2])
    copies = logits.copy(), hidden.copy()
    model([3] * 60)
    del model
    gc.collect()
    for array, copy in zip((logits, hidden), copies):
        assert np.array_equal(array, copy)
        assert array.base is not None and array.flags["C_CONTIGUOUS"] and array.flags["WRITEABLE"]
        # Nobody else holds the memory: what the array's base is goes with the array.
        n_references = sys.getrefcount(array.base) - 1
        assert n_references == 1


def test_loglikelihood_is_the_sum_by_its_formula(model: lille.Model) -> None:
    context, continuation = [32767, 7454, 2402], [257, 640, 11]
    rows = model(context + continuation)[len(context) - 1 : -1]
    expected = token_logprobs(rows, continuation).sum()
    is_greedy = [row.argmax() for row in rows] == continuation
    cache = lille.make_prompt_cache(model)
    for _ in range(2):
        score = model.loglikelihood(context, continuation, cache)
        assert score[0] == pytest.approx(expected, rel=1e-6)
        assert score[1] == is_greedy
    likeliest = [int(model(context)[-1].argmax())]
    assert model.loglikelihood(context, likeliest)[1]
    with pytest.raises(ValueError, match="context: expected at least one token"):
        model.loglikelihood([], [1])
    with pytest.raises(ValueError, match="continuation: expected 1 to 512 tokens"):
        model.loglikelihood([1], [])


def test_a_context_that_does_not_fit_loses_its_beginning(model: lille.Model) -> None:
    context = list(range(1000, 1600))
    assert model.loglikelihood(context, [5, 6]) == model.loglikelihood(context[-511:], [5, 6])


def test_many_rows_give_the_numbers_of_each() -> None:
    model = load_model(MLX / "toy")
    rows = [[row % 512, 7, row // 512] for row in range(300)]
    logits, hidden = model(rows), model.hidden_states(rows)
    assert logits.shape == (300, 3, model.args.vocab_size)
    for row in (0, 127, 128, 255, 256, 299):
        assert np.array_equal(logits[row], model(rows[row]))
        assert np.array_equal(hidden[:, row], model.hidden_states(rows[row]))


MEMORY_OF_ROWS = """
import resource, sys
from support import TINY
import lille
model, _ = lille.load(TINY, threads=1)
def peak_kib(n_rows):
    model.hidden_states([[5]] * n_rows)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
few = peak_kib(128)
print(peak_kib(2048) - few)
"""


def test_rows_beyond_a_pass_take_no_memory_but_that_of_the_result(model: lille.Model) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_ROWS],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    args = model.args
    result_kib = (args.n_layer + 2) * 2048 * args.n_embd * 4 / 1024
    assert int(shown) < result_kib + 4096


def test_warnings_come_before_the_error_of_a_load(tmp_path: Path) -> None:
    shutil.copy(MLX / "toy" / "config.json", tmp_path)
    content = bytearray((MLX / "toy" / "model.safetensors").read_bytes())
    n_header = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + n_header])
    begin = 8 + n_header + entries["transformer.norm.weight"]["data_offsets"][0]
    content[begin : begin + 4] = b"\xff" * 4  # NaN
    (tmp_path / "model.safetensors").write_bytes(content)
    arguments: Any = {"rope": "half", "threads": 1, "exact": False, "cache_folder": ""}
    with pytest.warns(UserWarning, match="transformer.norm.weight contains NaN"):
        _lille.load_model(tmp_path, kernels="", **arguments)
    with pytest.warns(UserWarning, match="transformer.norm.weight contains NaN"):
        with pytest.raises(lille.Error, match="abacus"):
            _lille.load_model(tmp_path, kernels="abacus", **arguments)


def test_arguments_are_those_of_the_config(model: lille.Model) -> None:
    config = json.loads((TINY / "config.json").read_text())
    for name in ("model_type", "block_size", "n_embd", "n_head", "n_kv_heads", "n_layer", "vocab_size"):
        assert getattr(model.args, name) == config[name]
    assert model.args.layer_norm_eps == pytest.approx(config["layer_norm_eps"])
    assert model.model_type == "lille-130m"
    assert model.path == TINY
    assert "lille-tiny-8bit" in repr(model)
    assert lille.load(TINY, return_config=True)[2]["n_embd"] == config["n_embd"]


def test_errors_are_pythons_and_the_librarys(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere") as missing:
        lille.load(tmp_path / "nowhere")
    assert isinstance(missing.value, lille.Error)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(OSError, match="config.json") as corrupt:
        lille.load(tmp_path)
    assert isinstance(corrupt.value, lille.Error)
    with pytest.raises(ValueError, match='rope: expected interleaved, half or original, got "round"'):
        lille.load(TINY, rope="round")
    with pytest.raises(ValueError, match="threads"):
        lille.load(TINY, threads=-1)
    with pytest.raises(ValueError, match=r"\[load\] adapter_path: .*merge"):
        lille.load(TINY, adapter_path="adapter")
    with pytest.raises(lille.Error):
        lille.load("nobody/nothing@bad revision!")
