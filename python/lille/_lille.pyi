import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, TypedDict, Union, overload

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Tokens = Union[Sequence[int], npt.NDArray[np.integer[Any]]]
TokenRows = Union[Tokens, Sequence[Tokens]]
Path_ = Union[str, os.PathLike[str]]

__version__: str

class ModelArgs:
    """The fields of config.json, and the sizes that follow from them."""

    @property
    def model_type(self) -> str: ...
    @property
    def block_size(self) -> int: ...
    @property
    def layer_norm_eps(self) -> float: ...
    @property
    def n_embd(self) -> int: ...
    @property
    def n_head(self) -> int: ...
    @property
    def n_kv_heads(self) -> int: ...
    @property
    def n_layer(self) -> int: ...
    @property
    def rope_theta(self) -> float: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def tie_word_embeddings(self) -> bool: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def hidden_dim(self) -> int: ...
    def to_json(self) -> str: ...

class GenerationDefaults:
    """What a model's files say of its use."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_p(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def min_p(self) -> float: ...
    @property
    def repetition_penalty(self) -> float: ...
    @property
    def add_bos_token(self) -> bool: ...

class PromptCache:
    """Keys and values of one sequence, with its tokens."""

    @property
    def offset(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def tokens(self) -> list[int]: ...
    @property
    def kv_bits(self) -> int: ...
    def trim(self, num_tokens: int) -> int: ...
    def copy(self) -> PromptCache: ...

class Model:
    """A model; any number of threads may use it at once."""

    def __call__(self, tokens: TokenRows, cache: Optional[PromptCache] = None) -> FloatArray: ...
    def logits(self, tokens: TokenRows, cache: Optional[PromptCache] = None) -> FloatArray: ...
    def hidden_states(self, tokens: TokenRows, cache: Optional[PromptCache] = None) -> FloatArray: ...
    def loglikelihood(
        self, context: Tokens, continuation: Tokens, cache: Optional[PromptCache] = None
    ) -> tuple[float, bool]: ...
    @property
    def args(self) -> ModelArgs: ...
    @property
    def generation_defaults(self) -> GenerationDefaults: ...
    @property
    def model_type(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def form(self) -> str: ...
    @property
    def rope_layout(self) -> str: ...
    @property
    def kernels(self) -> str: ...
    @property
    def n_threads(self) -> int: ...

class StreamingDetokenizer:
    """Turns ids into text as they come, in whole characters."""

    def __init__(self, tokenizer: Tokenizer) -> None: ...
    def add_token(self, token: int) -> None: ...
    def finalize(self) -> None: ...
    def reset(self) -> None: ...
    @property
    def text(self) -> str: ...
    @property
    def last_segment(self) -> str: ...

class Tokenizer:
    """Hastings, Lille's tokenizer."""

    def encode(
        self, text: Union[str, bytes], add_special_tokens: bool = True, *, parse_special: bool = False
    ) -> list[int]: ...
    def decode(self, ids: Tokens, skip_special_tokens: bool = False) -> str: ...
    def decode_bytes(self, ids: Tokens, skip_special_tokens: bool = False) -> bytes: ...
    @overload
    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool = True,
        tokenize: Literal[True] = True,
    ) -> list[int]: ...
    @overload
    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool = True,
        tokenize: Literal[False],
    ) -> str: ...
    def __len__(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def detokenizer(self) -> StreamingDetokenizer: ...
    @property
    def add_bos_token(self) -> bool: ...
    @property
    def bos_token(self) -> str: ...
    @property
    def bos_token_id(self) -> int: ...
    @property
    def eos_token(self) -> str: ...
    @property
    def eos_token_id(self) -> int: ...
    @property
    def eos_token_ids(self) -> set[int]: ...
    @property
    def pad_token(self) -> str: ...
    @property
    def pad_token_id(self) -> int: ...

class RandomState:
    """Random numbers of one sequence: equal seeds give equal draws."""

    def __init__(self, seed: int) -> None: ...

class Sampler:
    """What make_sampler gives. Generation draws with the answer's own random numbers."""

    def __call__(self, logprobs: FloatArray, random: Optional[RandomState] = None) -> int: ...

class LogitsProcessor:
    """What make_logits_processors gives."""

    def __call__(self, tokens: Tokens, logits: FloatArray) -> FloatArray: ...

def make_sampler(
    temp: float = 0.0,
    top_p: float = 0.0,
    min_p: float = 0.0,
    min_tokens_to_keep: int = 1,
    top_k: int = 0,
    xtc_probability: float = 0.0,
    xtc_threshold: float = 0.0,
    xtc_special_tokens: Optional[Sequence[int]] = None,
) -> Sampler:
    """How tokens are drawn (docs/SAMPLING.md)."""

def make_logits_processors(
    logit_bias: Optional[Mapping[int, float]] = None,
    repetition_penalty: Optional[float] = None,
    repetition_context_size: int = 20,
    presence_penalty: Optional[float] = None,
    presence_context_size: int = 20,
    frequency_penalty: Optional[float] = None,
    frequency_context_size: int = 20,
) -> list[LogitsProcessor]:
    """What changes logits before a token is drawn (docs/SAMPLING.md)."""

def make_prompt_cache(model: Model, kv_bits: int = 32) -> PromptCache: ...

def save_prompt_cache(path: Path_, cache: PromptCache) -> None:
    """Writes a cache to a file, whole or not at all."""

def load_prompt_cache(path: Path_, model: Model) -> PromptCache:
    """Reads what save_prompt_cache wrote for this model."""

class StreamArguments:
    max_tokens: Optional[int]
    overflow: str
    json_schema: str
    grammar: str
    sampler: Any
    logits_processors: Any
    prompt_progress_callback: Any
    prompt_cache: Optional[PromptCache]
    kv_bits: Optional[int]
    draft_model: Optional[Model]
    seed: int
    stop: list[str]
    reuse_prefix: bool
    prefill_step_size: int
    num_draft_tokens: int
    adaptive_draft: bool

class BatchOptions:
    completion_batch_size: int
    prefill_batch_size: int

class BatchResult(TypedDict):
    texts: list[str]
    token_ids: list[list[int]]
    logprobs: list[list[float]]
    caches: list[PromptCache]
    prompt_tokens: int
    generation_tokens: int
    prompt_time: float
    generation_time: float
    peak_memory: float

class Steps:
    def __init__(self, model: Model, prompt: Tokens, arguments: StreamArguments) -> None: ...
    def next(self) -> Optional[tuple[int, FloatArray]]: ...

class Stream:
    def __init__(
        self, model: Model, tokenizer: Tokenizer, prompt: Tokens, arguments: StreamArguments
    ) -> None: ...
    def next(
        self,
    ) -> Optional[tuple[str, int, FloatArray, bool, int, float, int, float, float, Optional[str]]]: ...

def batch_generate(
    model: Model,
    tokenizer: Tokenizer,
    prompts: list[Tokens],
    prompt_caches: list[Optional[PromptCache]],
    max_tokens: list[int],
    arguments: StreamArguments,
    options: BatchOptions,
    keeps_caches: bool,
    on_finished: Optional[Callable[[int], None]],
) -> BatchResult: ...
def resolve_model(name: str) -> Path: ...
def load_model(
    path: Path_, *, rope: str, threads: int, exact: bool, kernels: str, cache_folder: Path_
) -> Model: ...
def load_tokenizer(path: Path_) -> Tokenizer: ...
def encode_continuation(
    tokenizer: Tokenizer, context: str, continuation: str, bos: bool
) -> tuple[list[int], list[int]]: ...
def option_names() -> list[tuple[str, str]]: ...
