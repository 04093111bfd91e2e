"""Answers: one as text or piece by piece, or many at once."""

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _lille
from .errors import InvalidArgumentError
from .loading import refuse_unless_absent

FloatArray = npt.NDArray[np.float32]
Tokens = Union[Sequence[int], npt.NDArray[np.integer[Any]]]
Prompt = Union[str, Tokens]
SamplerLike = Callable[[FloatArray], Any]
LogitsProcessorLike = Callable[[Any, FloatArray], Any]

_REASONS = {
    "max_kv_size": "the cache holds block_size tokens, and the model was trained on no more",
    "input_embeddings": "prompts are token ids",
}


@dataclass
class GenerationResponse:
    """One piece of an answer, with mlx-lm's fields.

    text: what can be shown now; may be empty.
    token: the id of the token.
    logprobs: float32 (vocab_size), log-probabilities before the sampler's filters.
    from_draft: whether the draft model had guessed the token.
    prompt_tokens, prompt_tps: tokens of the prompt, and how many of them were read a second.
    generation_tokens, generation_tps: tokens of the answer so far, and how many were made a second.
    peak_memory: the most memory the process had, GB.
    finish_reason: "stop" or "length" in the last response, else None.
    """

    text: str
    token: int
    logprobs: FloatArray
    from_draft: bool
    prompt_tokens: int
    prompt_tps: float
    generation_tokens: int
    generation_tps: float
    peak_memory: float
    finish_reason: Optional[str] = None


@dataclass
class BatchStats:
    """Counts and times of batch_generate, over all answers; times in seconds, memory in GB.

    A pass that read part of a prompt, or gave an answer its first token, counts as prompt time.
    """

    prompt_tokens: int = 0
    prompt_tps: float = 0
    prompt_time: float = 0
    generation_tokens: int = 0
    generation_tps: float = 0
    generation_time: float = 0
    peak_memory: float = 0


@dataclass
class BatchResponse:
    """Answers in the order of their prompts; the last three are None unless asked for."""

    texts: list[str]
    stats: BatchStats
    caches: Optional[list[_lille.PromptCache]] = None
    token_ids: Optional[list[list[int]]] = None
    logprobs: Optional[list[list[float]]] = None


def _arguments(**values: Any) -> _lille.StreamArguments:
    arguments = _lille.StreamArguments()
    for name, value in values.items():
        try:
            setattr(arguments, name, value)
        except TypeError:
            raise TypeError(f"[generate] {name}: got {value!r}, which has the wrong type or range") from None
    return arguments


def _ids(tokenizer: _lille.Tokenizer, prompt: Prompt) -> Tokens:
    return tokenizer.encode(prompt) if isinstance(prompt, str) else prompt


def _most_tokens(max_tokens: int) -> Optional[int]:
    # mlx-lm's -1 is an answer without end; here the context ends it.
    return None if max_tokens == -1 else max_tokens


def _schema(json_schema: Union[str, dict[str, Any], None]) -> str:
    if json_schema is None:
        return ""
    return json_schema if isinstance(json_schema, str) else json.dumps(json_schema)


def _kv_bits(kv_bits: Optional[int], kv_group_size: int = 64, quantized_kv_start: int = 0) -> Optional[int]:
    if kv_bits not in (None, 32, 16, 8):
        raise InvalidArgumentError(f"[generate] kv_bits: expected None, 32, 16 or 8, got {kv_bits!r}")
    # As in mlx-lm, the other two say something of integers only.
    if kv_bits != 8:
        return kv_bits
    if kv_group_size not in (32, 64):
        raise InvalidArgumentError(
            f"[generate] kv_group_size: expected 32, or mlx-lm's default of 64, got {kv_group_size!r}. "
            "Hint: 8 bits have a scale for each 32 elements, whichever it is"
        )
    if quantized_kv_start != 0:
        raise InvalidArgumentError(
            f"[generate] quantized_kv_start: expected 0, got {quantized_kv_start!r}. "
            "Hint: a cache has one type from its first token on"
        )
    return kv_bits


def make_prompt_cache(
    model: _lille.Model, max_kv_size: Optional[int] = None, *, kv_bits: Optional[int] = None
) -> _lille.PromptCache:
    """An empty cache, of float32 or as kv_bits says: 32, 16 or 8 (docs/GENERATION.md)."""
    refuse_unless_absent("make_prompt_cache", _REASONS, max_kv_size=max_kv_size)
    return _lille.make_prompt_cache(model, 32 if kv_bits is None else kv_bits)


def _seed(seed: Optional[int]) -> int:
    return secrets.randbits(64) if seed is None else seed


def _steps(steps: _lille.Steps) -> Iterator[tuple[int, FloatArray]]:
    while (step := steps.next()) is not None:
        yield step


def generate_step(
    prompt: Tokens,
    model: _lille.Model,
    *,
    max_tokens: int = 256,
    sampler: Optional[SamplerLike] = None,
    logits_processors: Optional[Sequence[LogitsProcessorLike]] = None,
    max_kv_size: Optional[int] = None,
    prompt_cache: Optional[_lille.PromptCache] = None,
    prefill_step_size: int = 128,
    kv_bits: Optional[int] = None,
    kv_group_size: int = 64,
    quantized_kv_start: int = 0,
    prompt_progress_callback: Optional[Callable[[int, int], Any]] = None,
    input_embeddings: Optional[Any] = None,
    seed: Optional[int] = None,
) -> Iterator[tuple[int, FloatArray]]:
    """Tokens with their log-probabilities, beyond the end of an answer too; arguments as stream_generate's."""
    refuse_unless_absent("generate", _REASONS, max_kv_size=max_kv_size, input_embeddings=input_embeddings)
    arguments = _arguments(
        max_tokens=_most_tokens(max_tokens),
        sampler=sampler,
        logits_processors=logits_processors,
        prompt_cache=prompt_cache,
        kv_bits=_kv_bits(kv_bits, kv_group_size, quantized_kv_start),
        prefill_step_size=prefill_step_size,
        prompt_progress_callback=prompt_progress_callback,
        seed=_seed(seed),
    )
    return _steps(_lille.Steps(model, prompt, arguments))


def _responses(stream: _lille.Stream) -> Iterator[GenerationResponse]:
    while (fields := stream.next()) is not None:
        yield GenerationResponse(*fields)


def stream_generate(
    model: _lille.Model,
    tokenizer: _lille.Tokenizer,
    prompt: Prompt,
    max_tokens: int = 256,
    draft_model: Optional[_lille.Model] = None,
    *,
    sampler: Optional[SamplerLike] = None,
    logits_processors: Optional[Sequence[LogitsProcessorLike]] = None,
    max_kv_size: Optional[int] = None,
    prompt_cache: Optional[_lille.PromptCache] = None,
    prefill_step_size: int = 128,
    kv_bits: Optional[int] = None,
    kv_group_size: int = 64,
    quantized_kv_start: int = 0,
    prompt_progress_callback: Optional[Callable[[int, int], Any]] = None,
    input_embeddings: Optional[Any] = None,
    num_draft_tokens: int = 8,
    adaptive_draft: bool = True,
    seed: Optional[int] = None,
    stop: Union[str, Sequence[str]] = (),
    overflow: str = "error",
    json_schema: Union[str, dict[str, Any], None] = None,
    grammar: Optional[str] = None,
    reuse_prefix: bool = False,
) -> Iterator[GenerationResponse]:
    """An answer, piece by piece; mlx-lm's arguments, and some of this project's.

    prompt: a text, which begins with <|startoftext|> if the model's files say so, or token ids.
    max_tokens: at most so many tokens; -1: until the context is full.
    sampler: None takes the likeliest token; see make_sampler, or any callable that gets log-probabilities,
      float32 (1, vocab_size), and returns a token id.
    logits_processors: see make_logits_processors; others get all tokens, int32, and the logits,
      float32 (1, vocab_size), and return the logits.
    prompt_cache: the answer follows what it holds, and it then holds the answer too.
    kv_bits: keys and values are cached in 32 (None), 16 or 8 bits; with a prompt_cache, those it was made with.
    draft_model: guesses tokens, which gives the same answer sooner; at most num_draft_tokens at a time, or
      with adaptive_draft as many as pay.
    seed: of the random numbers; None: a new one.
    stop: the answer ends before the first of these texts.
    overflow: what happens to a prompt longer than the context: error, truncate-left or trim-turns.
    json_schema, grammar: the answer is JSON that fulfils the schema, or a text of the grammar (docs/GRAMMAR.md).
    reuse_prefix: prompt is the whole one, and what it shares with prompt_cache is not read again.
    Raises ValueError for a wrong argument, at once. Ctrl-C ends the answer, in the middle of the prompt too.
    """
    refuse_unless_absent("generate", _REASONS, max_kv_size=max_kv_size, input_embeddings=input_embeddings)
    arguments = _arguments(
        max_tokens=_most_tokens(max_tokens),
        draft_model=draft_model,
        sampler=sampler,
        logits_processors=logits_processors,
        prompt_cache=prompt_cache,
        kv_bits=_kv_bits(kv_bits, kv_group_size, quantized_kv_start),
        prefill_step_size=prefill_step_size,
        prompt_progress_callback=prompt_progress_callback,
        num_draft_tokens=num_draft_tokens,
        adaptive_draft=adaptive_draft,
        seed=_seed(seed),
        stop=[stop] if isinstance(stop, str) else list(stop),
        overflow=overflow,
        json_schema=_schema(json_schema),
        grammar=grammar or "",
        reuse_prefix=reuse_prefix,
    )
    return _responses(_lille.Stream(model, tokenizer, _ids(tokenizer, prompt), arguments))


def generate(
    model: _lille.Model,
    tokenizer: _lille.Tokenizer,
    prompt: Prompt,
    verbose: bool = False,
    **kwargs: Any,
) -> str:
    """The whole answer as text; kwargs are those of stream_generate. verbose prints it, and how fast it was."""
    text = ""
    response = None
    for response in stream_generate(model, tokenizer, prompt, **kwargs):
        if verbose:
            print(response.text, end="", flush=True)
        text += response.text
    if verbose:
        print()
        if response is not None:
            print(f"prompt: {response.prompt_tokens} tokens, {response.prompt_tps:.1f} tokens/s")
            print(f"answer: {response.generation_tokens} tokens, {response.generation_tps:.1f} tokens/s")
            print(f"peak memory: {response.peak_memory:.3f} GB")
    return text


def _stats(result: "_lille.BatchResult") -> BatchStats:
    def rate(n_tokens: int, seconds: float) -> float:
        return n_tokens / seconds if seconds > 0 else 0

    return BatchStats(
        prompt_tokens=result["prompt_tokens"],
        prompt_tps=rate(result["prompt_tokens"], result["prompt_time"]),
        prompt_time=result["prompt_time"],
        generation_tokens=result["generation_tokens"],
        generation_tps=rate(result["generation_tokens"], result["generation_time"]),
        generation_time=result["generation_time"],
        peak_memory=result["peak_memory"],
    )


def batch_generate(
    model: _lille.Model,
    tokenizer: _lille.Tokenizer,
    prompts: Sequence[Prompt],
    prompt_caches: Optional[Sequence[Optional[_lille.PromptCache]]] = None,
    max_tokens: Union[int, Sequence[int]] = 128,
    verbose: bool = False,
    return_prompt_caches: bool = False,
    return_token_ids: bool = False,
    return_logprobs: bool = False,
    *,
    sampler: Optional[SamplerLike] = None,
    logits_processors: Optional[Sequence[LogitsProcessorLike]] = None,
    completion_batch_size: int = 8,
    prefill_batch_size: int = 8,
    prefill_step_size: int = 128,
    max_kv_size: Optional[int] = None,
    kv_bits: Optional[int] = None,
    seed: Optional[int] = None,
    stop: Union[str, Sequence[str]] = (),
    overflow: str = "error",
    json_schema: Union[str, dict[str, Any], None] = None,
    grammar: Optional[str] = None,
) -> BatchResponse:
    """Answers many prompts, at most completion_batch_size of them at once; each answer is what it is alone.

    Arguments as stream_generate's, of all answers; the random numbers of prompt i have the seed seed + i.
    prompt_caches: one for each prompt, which follows what it holds, or None for an empty one; they stay as they
      are, so that several prompts may have the same.
    max_tokens: of every answer, or one number for each.
    return_prompt_caches, return_token_ids, return_logprobs: what BatchResponse has beside the texts; ids are
      without a token that ended the answer.
    Raises as stream_generate; one prompt that is wrong ends all of it.
    """
    refuse_unless_absent("batch_generate", _REASONS, max_kv_size=max_kv_size)
    caches = [] if prompt_caches is None else list(prompt_caches)
    if prompt_caches is not None and len(caches) != len(prompts):
        raise InvalidArgumentError(
            f"[batch_generate] prompt_caches: expected {len(prompts)}, one for each prompt, got {len(caches)}"
        )
    for cache in caches:
        if cache is not None and not isinstance(cache, _lille.PromptCache):
            raise TypeError(f"[batch_generate] prompt_caches: expected what make_prompt_cache gives, got {cache!r}")
    of_each = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else list(max_tokens)
    if len(of_each) != len(prompts):
        raise InvalidArgumentError(
            f"[batch_generate] max_tokens: expected {len(prompts)} numbers, one for each prompt, got {len(of_each)}"
        )
    options = _lille.BatchOptions()
    options.completion_batch_size = completion_batch_size
    options.prefill_batch_size = prefill_batch_size

    def show(n_finished: int) -> None:
        print(f"\r{n_finished} of {len(prompts)} answers", end="", flush=True)

    result = _lille.batch_generate(
        model,
        tokenizer,
        [_ids(tokenizer, prompt) for prompt in prompts],
        caches,
        of_each,
        _arguments(
            sampler=sampler,
            logits_processors=logits_processors,
            kv_bits=_kv_bits(kv_bits),
            prefill_step_size=prefill_step_size,
            seed=_seed(seed),
            stop=[stop] if isinstance(stop, str) else list(stop),
            overflow=overflow,
            json_schema=_schema(json_schema),
            grammar=grammar or "",
        ),
        options,
        return_prompt_caches,
        show if verbose else None,
    )
    stats = _stats(result)
    if verbose:
        print(f"\nprompts: {stats.prompt_tokens} tokens, {stats.prompt_tps:.1f} tokens/s")
        print(f"answers: {stats.generation_tokens} tokens, {stats.generation_tps:.1f} tokens/s")
        print(f"peak memory: {stats.peak_memory:.3f} GB")
    return BatchResponse(
        result["texts"],
        stats,
        result["caches"] if return_prompt_caches else None,
        result["token_ids"] if return_token_ids else None,
        result["logprobs"] if return_logprobs else None,
    )
