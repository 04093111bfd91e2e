"""Samplers and logits processors: seeded draws and penalties of the real mlx-lm, and the one table of options."""

import inspect
import json
import math
from typing import Any

import numpy as np
import pytest
from support import SHARED, need_shared, read_safetensors

import lille
from lille import _lille

SAMPLING = SHARED / "golden" / "mlx" / "sampling"
SAMPLERS: dict[str, dict[str, Any]] = {
    "t1": {"temp": 1},
    "t0.7_p0.9": {"temp": 0.7, "top_p": 0.9},
    "t0.8_m0.05_k20": {"temp": 0.8, "min_p": 0.05, "top_k": 20},
    "t1_xtc0.5": {"temp": 1, "xtc_probability": 0.5, "xtc_threshold": 0.05},
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_seeded_draws_are_mlx_lms(name: str) -> None:
    need_shared()
    inputs = read_safetensors(SAMPLING / "filters.safetensors")
    golden = read_safetensors(SAMPLING / "random.safetensors")
    sampler = lille.make_sampler(**SAMPLERS[name])
    for source in ("v64.random", "v331.flat_random", "v64.neg_inf"):
        for seed in (0, 1, 42, 2**33 + 5):
            random = lille.RandomState(seed)
            drawn = [sampler(inputs[f"{source}.logprobs"], random) for _ in range(24)]
            assert drawn == golden[f"draws.{name}.{source}.{seed}"].tolist()


def test_processors_are_mlx_lms() -> None:
    need_shared()
    tensors = read_safetensors(SAMPLING / "processors.safetensors")
    n_cases = 0
    for case in json.loads((SAMPLING / "processors.json").read_text())["cases"]:
        params = dict(case["params"])
        if "logit_bias" in params:
            params["logit_bias"] = {int(token): float(bias) for token, bias in params["logit_bias"].items()}
        processors = lille.make_logits_processors(**params)
        assert len(processors) == case["number_of_processors"], case["id"]
        logits = tensors[case["logits"]]
        for processor in processors:
            logits = processor(tensors[case["tokens"]], logits)
        np.testing.assert_allclose(logits.ravel(), tensors[case["output"]], rtol=1e-6, err_msg=case["id"])
        n_cases += 1
    assert n_cases > 20


def test_the_defaults_and_positions_are_mlx_lms() -> None:
    logprobs = np.log(np.array([0.1, 0.6, 0.3], dtype=np.float32))
    assert lille.make_sampler()(logprobs) == 1
    assert lille.make_sampler(0.7, 0.5)(logprobs) == 1
    assert {lille.make_sampler(1.0, top_k=2)(logprobs[None]) for _ in range(40)} <= {1, 2}
    assert lille.make_logits_processors() == []
    assert len(lille.make_logits_processors({1: 2.0}, 1.1, presence_penalty=0.5, frequency_penalty=0.5)) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temp": -1}, "temperature"),
        ({"temp": math.nan}, "temperature"),
        ({"temp": 1, "top_p": 2}, "top_p"),
        ({"temp": 1, "min_p": -0.1}, "min_p"),
        ({"temp": 1, "min_tokens_to_keep": 0}, "min_tokens_to_keep"),
        ({"temp": 1, "top_k": -1}, "top_k"),
        ({"temp": 1, "xtc_probability": 1.5}, "xtc_probability"),
        ({"temp": 1, "xtc_threshold": 0.6}, "xtc_threshold"),
        ({"temp": 1, "xtc_special_tokens": [-1]}, "xtc_special_tokens"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lille.make_sampler(**values)


def test_processors_out_of_range_are_named() -> None:
    for values, message in [
        ({"repetition_penalty": -1}, "repetition_penalty"),
        ({"presence_context_size": -1}, "presence_context_size"),
        ({"logit_bias": {-1: 1}}, "logit_bias"),
        ({"logit_bias": {1: math.inf}}, "logit_bias"),
    ]:
        with pytest.raises(ValueError, match=message):
            lille.make_logits_processors(**values)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lille.make_sampler(top_q=1)  # type: ignore[call-arg]
    (bias,) = lille.make_logits_processors({7: 1})
    with pytest.raises(ValueError, match=r"\[0, 3\), got 7"):
        bias([], np.zeros(3, dtype=np.float32))


def parameters(function: Any) -> set[str]:
    """Names of a function's parameters; of a compiled one as its docstring has them."""
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:
        inside = function.__doc__.split("(", 1)[1].split(") ->")[0]
        return {part.split(":")[0].strip() for part in inside.split(", ") if ":" in part}


def test_every_option_of_the_table_is_a_parameter_or_has_another_form() -> None:
    elsewhere = {
        "model": "load's path_or_hf_repo",
        "draft": "draft_model takes a model",
        "bos": "Tokenizer.encode's add_special_tokens",
        "json_schema": "options of the program, the server and C",
        "grammar": "options of the program, the server and C",
        "logprobs": "GenerationResponse.logprobs",
        "top_logprobs": "GenerationResponse.logprobs",
    }
    known = set(elsewhere)
    for function in (
        lille.make_sampler,
        lille.make_logits_processors,
        lille.stream_generate,
        lille.batch_generate,
        lille.load,
    ):
        known |= parameters(function)
    table = _lille.option_names()
    assert len(table) > 25
    assert [name for name, alias in table if name not in known and alias not in known] == []
    assert set(elsewhere) <= {name for name, _ in table}
