"""Answers: against mlx-lm's tokens and the program's, with Python callables, in batches."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT, TINY, load_model, read_safetensors, run_lille

import lille

TOY = ROOT / "tests" / "golden" / "mlx" / "toy"
CASES = json.loads((TOY / "generate.json").read_text())["cases"]
PROMPT = "Once upon a time"
OFF = ["--top-k", "0", "--min-p", "0", "--repetition-penalty", "1"]


def run_generate(*arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(
        run_lille("generate", "--model", str(TINY), "--threads", "1", "--json", *OFF, *arguments)
    )
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_tokens_are_mlx_lms(case: dict[str, Any]) -> None:
    model = load_model(TOY)
    params = dict(case["params"])
    sampling = {name: params.pop(name) for name in ("temp", "top_p", "top_k") if name in params}
    step_size = params.pop("prefill_step_size", 128)
    if "logit_bias" in params:
        params["logit_bias"] = {int(token): bias for token, bias in params["logit_bias"].items()}
    n_prompt = len(case["prompt"])

    # mlx-lm shows its processors the prompt's last token and what was generated, and not the whole prompt.
    def shown(processor: lille.LogitsProcessor) -> Callable[[Any, Any], Any]:
        return lambda tokens, logits: processor(tokens[n_prompt - 1 :], logits)

    steps = list(
        lille.generate_step(
            case["prompt"],
            model,
            max_tokens=case["max_tokens"],
            sampler=lille.make_sampler(**sampling),
            logits_processors=[shown(processor) for processor in lille.make_logits_processors(**params)],
            prefill_step_size=step_size,
            seed=case.get("seed", 0),
        )
    )
    assert [token for token, _ in steps] == case["tokens"]
    if case["logprobs"] is not None:
        golden = read_safetensors(TOY / "generate.safetensors")[case["logprobs"]]
        np.testing.assert_allclose([logprobs for _, logprobs in steps], golden, rtol=0, atol=3e-4)


@pytest.mark.parametrize(("temp", "top_p", "seed"), [(0.0, 0.0, 0), (0.8, 0.9, 7), (1.0, 1.0, 2**63)])
def test_answers_are_the_programs(
    model: lille.Model, tokenizer: lille.Tokenizer, temp: float, top_p: float, seed: int
) -> None:
    flags = ["--temp", str(temp), "--top-p", str(top_p), "--seed", str(seed), "--max-tokens", "30"]
    program = run_generate(*flags, PROMPT)
    sampler = lille.make_sampler(temp, top_p)
    responses = list(
        lille.stream_generate(model, tokenizer, PROMPT, max_tokens=30, sampler=sampler, seed=seed)
    )
    assert [response.token for response in responses] == program["tokens"]
    assert "".join(response.text for response in responses) == program["text"]
    assert responses[-1].finish_reason == program["finish_reason"]
    assert responses[-1].prompt_tokens == program["prompt_tokens"]
    text = lille.generate(model, tokenizer, PROMPT, max_tokens=30, sampler=sampler, seed=seed)
    assert text == program["text"]


def test_a_response_has_mlx_lms_fields(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    responses = list(lille.stream_generate(model, tokenizer, PROMPT, max_tokens=5))
    assert list(vars(responses[0])) == [
        "text",
        "token",
        "logprobs",
        "from_draft",
        "prompt_tokens",
        "prompt_tps",
        "generation_tokens",
        "generation_tps",
        "peak_memory",
        "finish_reason",
    ]
    assert [response.generation_tokens for response in responses] == [1, 2, 3, 4, 5]
    assert [response.finish_reason for response in responses] == [None] * 4 + ["length"]
    for response in responses:
        assert response.logprobs.shape == (model.args.vocab_size,)
        assert response.token == response.logprobs.argmax()
        assert np.exp(response.logprobs.astype(np.float64)).sum() == pytest.approx(1)
        assert not response.from_draft
        assert 0.01 < response.peak_memory < 100
        assert response.prompt_tps > 0


def test_stop_texts_and_lengths(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    whole = lille.generate(model, tokenizer, PROMPT, max_tokens=20)
    stop = whole[10:14]
    last = list(lille.stream_generate(model, tokenizer, PROMPT, max_tokens=20, stop=stop))[-1]
    assert last.finish_reason == "stop"
    assert lille.generate(model, tokenizer, PROMPT, max_tokens=20, stop=[stop, "zzz"]) == whole[: whole.index(stop)]
    assert lille.generate(model, tokenizer, PROMPT, max_tokens=0) == ""
    ids = [257] * (model.args.block_size - 3)
    assert [len(list(lille.generate_step(ids, model, max_tokens=n))) for n in (-1, 2)] == [4, 2]


def test_a_python_sampler_chooses(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    greedy = list(lille.stream_generate(model, tokenizer, PROMPT, max_tokens=8))
    seen = []

    def sampler(logprobs: Any) -> Any:
        seen.append(logprobs)
        return logprobs.argmax(axis=-1)

    ours = list(lille.stream_generate(model, tokenizer, PROMPT, max_tokens=8, sampler=sampler))
    assert [response.token for response in ours] == [response.token for response in greedy]
    for logprobs, response in zip(seen, greedy):
        assert logprobs.shape == (1, model.args.vocab_size)
        assert np.array_equal(logprobs[0], response.logprobs)
    worst = next(lille.stream_generate(model, tokenizer, PROMPT, sampler=lambda logprobs: int(logprobs.argmin())))
    assert worst.token == greedy[0].logprobs.argmin()


def test_python_processors_change_logits(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    greedy = next(lille.stream_generate(model, tokenizer, PROMPT, max_tokens=1))
    shown = []

    def in_place(tokens: Any, logits: Any) -> None:
        shown.append(tokens.tolist())
        logits[:, greedy.token] = -np.inf

    def another(tokens: Any, logits: Any) -> Any:
        return logits.astype(np.float64) * 0.5

    first = next(
        lille.stream_generate(model, tokenizer, PROMPT, max_tokens=1, logits_processors=[in_place, another])
    )
    assert first.token == np.argsort(greedy.logprobs)[-2]
    assert first.logprobs[greedy.token] == -np.inf
    assert shown == [tokenizer.encode(PROMPT)]


class OwnError(Exception):
    """Raised by callables."""


def fail(*_: Any) -> Any:
    raise OwnError("from a callable")


@pytest.mark.parametrize("name", ["sampler", "logits_processors", "prompt_progress_callback"])
def test_what_callables_raise_comes_out(name: str, model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    value: Any = [fail] if name == "logits_processors" else fail
    cache = lille.make_prompt_cache(model)
    with pytest.raises(OwnError, match="from a callable"):
        lille.generate(model, tokenizer, PROMPT, prompt_cache=cache, **{name: value})
    assert cache.offset == 0
    if name != "prompt_progress_callback":
        with pytest.raises(OwnError, match="from a callable"):
            lille.batch_generate(model, tokenizer, [PROMPT] * 3, **{name: value})
    assert lille.generate(model, tokenizer, PROMPT, max_tokens=1) != ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": lambda _: 99999}, r"\[0, 32768\), got 99999"),
        ({"sampler": lambda _: 2**70}, "expected a token id from the callable, got 1180591620717411303424"),
        ({"sampler": lambda _: 0.5}, "expected a token id from the callable, got 0.5"),
        ({"sampler": lambda _: None}, "expected a token id from the callable, got None"),
        ({"sampler": 3}, "sampler: expected a callable, got 3"),
        ({"logits_processors": [lambda _, logits: logits[:, :5]]}, r"shape \(1, 32768\) .* got \(1, 5\)"),
        ({"logits_processors": [lambda _, logits: "x"]}, "expected numbers, got 'x'"),
        ({"logits_processors": [3]}, "logits_processors: expected callables, got 3"),
        ({"logits_processors": [lambda _, logits: logits * np.nan]}, "nan"),
        ({"max_tokens": -2}, "max_tokens: expected 0 or more, got -2"),
        ({"prefill_step_size": 0}, "prefill_step_size"),
        ({"num_draft_tokens": 99, "draft_model": True}, "num_draft_tokens"),
        ({"stop": ""}, "stop"),
        ({"overflow": "left"}, 'overflow: expected error, .* got "left"'),
        ({"max_kv_size": 64}, r"\[generate\] max_kv_size: expected None, got 64"),
        ({"kv_bits": 4}, r"\[generate\] kv_bits: expected None, 32, 16 or 8, got 4"),
        ({"kv_bits": 8, "kv_group_size": 128}, r"\[generate\] kv_group_size: expected 32, .*, got 128"),
        ({"kv_bits": 8, "quantized_kv_start": 5}, r"\[generate\] quantized_kv_start: expected 0, got 5"),
        ({"input_embeddings": np.zeros((2, 2))}, r"\[generate\] input_embeddings"),
        ({"prompt": []}, "at least one token"),
        ({"prompt": [1] * 600}, "600"),
        ({"prompt": [99999]}, "99999"),
        ({"prompt": [[1], [2]]}, "expected one dimension"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], message: str, model: lille.Model, tokenizer: lille.Tokenizer
) -> None:
    values: dict[str, Any] = {"prompt": PROMPT, "max_tokens": 2, **arguments}
    if values.get("draft_model"):
        values["draft_model"] = model
    with pytest.raises(ValueError, match=message) as raised:
        lille.generate(model, tokenizer, **values)
    assert isinstance(raised.value, lille.Error)


def test_wrong_types_are_named(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    for name, value in [("max_tokens", "many"), ("seed", -1), ("seed", 2**64), ("prompt_cache", []), ("stop", [1])]:
        with pytest.raises(TypeError, match=name):
            lille.stream_generate(model, tokenizer, PROMPT, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_token"):
        lille.generate(model, tokenizer, PROMPT, max_token=3)


def test_a_prompt_cache_is_continued(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    ids = tokenizer.encode(PROMPT + ", in a small house, there lived a man")
    whole = list(lille.generate_step(ids, model, max_tokens=6))
    cache = lille.make_prompt_cache(model)
    assert lille.generate(model, tokenizer, ids[:5], max_tokens=0, prompt_cache=cache) == ""
    assert cache.tokens == ids[:5]
    tokens = [token for token, _ in lille.generate_step(ids[5:], model, max_tokens=6, prompt_cache=cache)]
    assert tokens == [token for token, _ in whole]
    # The last token of an answer is not read.
    assert cache.tokens == ids + tokens[:-1]
    progress = []
    text = lille.generate(
        model,
        tokenizer,
        ids + tokens,
        max_tokens=4,
        prompt_cache=cache,
        reuse_prefix=True,
        prompt_progress_callback=lambda *counts: progress.append(counts),
    )
    assert progress == [(1, 1)]
    assert text == lille.generate(model, tokenizer, ids + tokens, max_tokens=4)


@pytest.mark.parametrize("kv_bits", [32, 16, 8])
def test_caches_of_fewer_bits_give_the_programs_answers(
    kv_bits: int, model: lille.Model, tokenizer: lille.Tokenizer, tmp_path: Path
) -> None:
    file = tmp_path / "cache"
    ids = tokenizer.encode(PROMPT)
    program = run_generate("--temp", "0", "--max-tokens", "30", "--kv-bits", str(kv_bits), PROMPT)
    cache = lille.make_prompt_cache(model, kv_bits=kv_bits)
    assert cache.kv_bits == kv_bits
    own = lille.stream_generate(model, tokenizer, PROMPT, 30, kv_bits=kv_bits)
    given = lille.stream_generate(model, tokenizer, PROMPT, 30, prompt_cache=cache)
    batch = lille.batch_generate(
        model, tokenizer, [PROMPT], max_tokens=30, kv_bits=kv_bits, return_token_ids=True, return_prompt_caches=True
    )
    steps = lille.generate_step(ids, model, max_tokens=30, kv_bits=kv_bits)
    assert [response.token for response in own] == program["tokens"]
    assert [response.token for response in given] == program["tokens"]
    assert [token for token, _ in steps] == program["tokens"]
    assert batch.texts == [program["text"]] and batch.caches is not None
    assert batch.caches[0].kv_bits == kv_bits
    lille.save_prompt_cache(file, batch.caches[0])
    assert lille.load_prompt_cache(file, model).kv_bits == kv_bits


def test_the_bits_of_a_cache_are_those_it_was_made_with(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    cache = lille.make_prompt_cache(model, kv_bits=16)
    lille.generate(model, tokenizer, PROMPT, max_tokens=1, prompt_cache=cache, kv_bits=16, quantized_kv_start=5000)
    with pytest.raises(ValueError, match="kv_bits: expected 16, as the prompt cache has, got 8"):
        lille.generate(model, tokenizer, PROMPT, prompt_cache=cache, kv_bits=8)
    with pytest.raises(ValueError, match="kv_bits: expected 16, as the prompt cache has, got 32"):
        lille.batch_generate(model, tokenizer, [PROMPT], [cache], kv_bits=32)
    with pytest.raises(ValueError, match="kv_bits: expected 32, 16 or 8, got 4"):
        lille.make_prompt_cache(model, kv_bits=4)
    with pytest.raises(ValueError, match=r"\[make_prompt_cache\] max_kv_size: expected None, got 64"):
        lille.make_prompt_cache(model, 64)


def test_a_cache_has_one_user_at_a_time(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    cache = lille.make_prompt_cache(model)
    with pytest.raises(ValueError, match="another thread or answer"):
        lille.generate(model, tokenizer, PROMPT, prompt_cache=cache, sampler=lambda _: cache.offset)
    assert cache.offset == 0
    shown: list[str] = []
    progress = lille.generate_step(
        [5], model, max_tokens=0, prompt_cache=cache, prompt_progress_callback=lambda *_: shown.append(repr(cache))
    )
    assert list(progress) == []
    assert set(shown) == {"<lille.PromptCache in use>"}
    assert repr(cache) == "<lille.PromptCache 1 of 512 tokens, 32 bits>"


def test_a_cache_that_was_changed_in_between_is_refused(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    cache = lille.make_prompt_cache(model)
    first = lille.generate_step([5, 6, 7], model, max_tokens=9, prompt_cache=cache)
    next(first)
    second = lille.stream_generate(model, tokenizer, PROMPT, 9, prompt_cache=cache)
    next(second)
    with pytest.raises(ValueError, match="prompt_cache: expected the 3 tokens that this answer left in it"):
        next(first)
    next(second)
    cache.trim(1)
    with pytest.raises(ValueError, match="something else read into it or trimmed it"):
        next(second)
    third = lille.generate_step([8], model, max_tokens=9, prompt_cache=cache)
    next(third)
    model([9], cache=cache)
    with pytest.raises(ValueError, match="make one cache for each answer"):
        next(third)


def test_the_progress_of_a_prompt(model: lille.Model) -> None:
    progress = []
    steps = lille.generate_step(
        list(range(100, 110)),
        model,
        max_tokens=1,
        prefill_step_size=4,
        prompt_progress_callback=lambda *counts: progress.append(counts),
    )
    assert len(list(steps)) == 1
    assert progress == [(4, 10), (8, 10), (10, 10)]


def test_a_draft_model_changes_nothing_but_the_time(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    sampler = lille.make_sampler(0.7)
    alone = list(lille.stream_generate(model, tokenizer, PROMPT, 16, sampler=sampler, seed=3))
    drafted = list(
        lille.stream_generate(
            model, tokenizer, PROMPT, 16, draft_model=model, sampler=sampler, seed=3, adaptive_draft=False
        )
    )
    assert [response.token for response in drafted] == [response.token for response in alone]
    assert any(response.from_draft for response in drafted)


def test_a_long_prompt_may_lose_its_beginning(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    ids = [257] * 600
    last = list(lille.stream_generate(model, tokenizer, ids, 3, overflow="truncate-left"))[-1]
    # The last token of an answer is not read.
    assert last.prompt_tokens + 3 - 1 == model.args.block_size


def test_answers_are_held_to_grammars(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    schema = {
        "type": "object",
        "properties": {"is_warm": {"type": "boolean"}},
        "required": ["is_warm"],
        "additionalProperties": False,
    }
    for of_schema in (schema, json.dumps(schema)):
        text = lille.generate(model, tokenizer, PROMPT, max_tokens=60, json_schema=of_schema, seed=1)
        assert json.loads(text)["is_warm"] in (True, False)
    grammar = 'root ::= "yes" | "no"'
    batch = lille.batch_generate(model, tokenizer, [PROMPT, "x"], grammar=grammar, sampler=lille.make_sampler(1.0))
    assert set(batch.texts) <= {"yes", "no"}
    with pytest.raises(ValueError, match=r"\[generate\] grammar: expected none beside json_schema, got both"):
        lille.generate(model, tokenizer, PROMPT, json_schema=schema, grammar=grammar)


def test_verbose_prints(
    model: lille.Model, tokenizer: lille.Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    text = lille.generate(model, tokenizer, PROMPT, verbose=True, max_tokens=5)
    shown = capsys.readouterr().out
    assert shown.startswith(text + "\n")
    assert "answer: 5 tokens" in shown
    lille.batch_generate(model, tokenizer, [PROMPT, PROMPT], max_tokens=2, verbose=True)
    assert "2 of 2 answers" in capsys.readouterr().out


def test_a_batch_gives_what_each_prompt_gives_alone(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    prompts: list[Any] = [PROMPT, "A glacier is", tokenizer.encode("The cell"), "x"] * 3
    counts = [1 + idx for idx in range(len(prompts))]
    sampler = lille.make_sampler(0.9, top_p=0.95)
    batch = lille.batch_generate(
        model,
        tokenizer,
        prompts,
        max_tokens=counts,
        sampler=sampler,
        logits_processors=lille.make_logits_processors(repetition_penalty=1.1),
        seed=11,
        completion_batch_size=5,
        return_prompt_caches=True,
        return_token_ids=True,
        return_logprobs=True,
    )
    assert batch.token_ids is not None and batch.logprobs is not None and batch.caches is not None
    for idx, prompt in enumerate(prompts):
        alone = list(
            lille.stream_generate(
                model,
                tokenizer,
                prompt,
                counts[idx],
                sampler=sampler,
                logits_processors=lille.make_logits_processors(repetition_penalty=1.1),
                seed=11 + idx,
            )
        )
        assert batch.texts[idx] == "".join(response.text for response in alone)
        kept = [r for r in alone if r.token not in tokenizer.eos_token_ids]
        assert batch.token_ids[idx] == [response.token for response in kept]
        assert batch.logprobs[idx] == [response.logprobs[response.token] for response in kept]
        assert batch.caches[idx].offset == alone[0].prompt_tokens + len(alone) - 1
    assert batch.stats.generation_tokens == sum(counts)
    assert batch.stats.prompt_tokens == sum(
        len(tokenizer.encode(prompt)) if isinstance(prompt, str) else len(prompt) for prompt in prompts
    )
    assert batch.stats.prompt_time > 0 and batch.stats.generation_tps > 0
    plain = lille.batch_generate(model, tokenizer, [PROMPT], max_tokens=3)
    assert (plain.caches, plain.token_ids, plain.logprobs) == (None, None, None)
    assert plain.texts == [lille.generate(model, tokenizer, PROMPT, max_tokens=3)]
    assert lille.batch_generate(model, tokenizer, []).texts == []


def test_the_prompts_of_a_batch_follow_caches(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    ids = tokenizer.encode("Once upon a time, in a small house, there lived a man")
    shared = lille.make_prompt_cache(model)
    model(ids[:6], shared)
    empty = lille.make_prompt_cache(model)
    wholes = (ids, ids[:6] + [640], ids[:4], ids[:5])
    whole = [list(lille.generate_step(prompt, model, max_tokens=5)) for prompt in wholes]
    batch = lille.batch_generate(
        model,
        tokenizer,
        [ids[6:], [640], ids[:4], ids[:5]],
        [shared, shared, empty, None],
        max_tokens=5,
        completion_batch_size=2,
        return_token_ids=True,
        return_prompt_caches=True,
    )
    assert batch.token_ids == [[token for token, _ in steps] for steps in whole]
    assert shared.tokens == ids[:6] and empty.tokens == [], "a batch leaves them as they are"
    assert batch.caches is not None
    assert batch.caches[1].tokens == ids[:6] + [640] + batch.token_ids[1][:-1]
    again = lille.batch_generate(model, tokenizer, [[640]], [shared], max_tokens=5, return_token_ids=True)
    assert again.token_ids == [batch.token_ids[1]] and again.caches is None


def test_a_copy_of_a_cache_goes_on_by_itself(model: lille.Model) -> None:
    for kv_bits in (32, 16, 8):
        cache = lille.make_prompt_cache(model, kv_bits=kv_bits)
        assert cache.copy().tokens == []
        model([5, 6, 7], cache)
        first, second = cache.copy(), copy.deepcopy(cache)
        logits = model([8, 9], first)
        assert (cache.tokens, first.tokens, second.kv_bits) == ([5, 6, 7], [5, 6, 7, 8, 9], kv_bits)
        assert np.array_equal(model([8, 9], cache), logits)
        assert np.array_equal(model([8, 9], second), logits)
    assert repr(cache) == "<lille.PromptCache 5 of 512 tokens, 8 bits>"


def test_wrong_batches_are_refused(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    for arguments, message in [
        ({"max_tokens": [1]}, r"max_tokens: expected 2 numbers"),
        ({"prompt_caches": []}, r"prompt_caches: expected 2, one for each prompt, got 0"),
        ({"completion_batch_size": 0}, "completion_batch_size"),
        ({"max_tokens": [3, -4]}, "max_tokens: expected 0 or more, got -4"),
    ]:
        with pytest.raises(ValueError, match=message):
            lille.batch_generate(model, tokenizer, [PROMPT, "x"], **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one token"):
        lille.batch_generate(model, tokenizer, [PROMPT, []])
    with pytest.raises(TypeError, match=r"prompt_caches: expected what make_prompt_cache gives, got \[\]"):
        lille.batch_generate(model, tokenizer, [PROMPT], [[]])  # type: ignore[list-item]
