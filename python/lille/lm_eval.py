"""The language-model interface of lm-evaluation-harness, which need not be installed.

    from lille.lm_eval import LilleLM
    results = lm_eval.simple_evaluate(model=LilleLM("models/lille-tiny-8bit"), tasks=["arc_easy"])
"""

from collections.abc import Iterator, Sequence
from typing import Any, Optional, Protocol, Union

from . import _lille
from .errors import InvalidArgumentError
from .generation import batch_generate
from .loading import PathLike, load

try:
    from lm_eval.api.model import LM as _Base
    from lm_eval.api.registry import register_model as _register
except ImportError:
    _Base = object
    _register = None

DEFAULT_MAX_GEN_TOKS = 256


class Instance(Protocol):
    """What of lm_eval.api.instance.Instance is used."""

    @property
    def args(self) -> tuple[Any, ...]: ...


class LilleLM(_Base):  # type: ignore[misc]
    """A model that lm-evaluation-harness evaluates.

    pretrained: as load's path_or_hf_repo, or a model and its tokenizer.
    batch_size: answers that generate_until makes at once; "auto" is 8. Results do not depend on it.
    add_bos_token: whether a context begins with <|startoftext|>; the base model never saw it in pretraining.
    device, max_batch_size: without effect; harnesses hand them over.
    kwargs: those of load.
    """

    def __init__(
        self,
        pretrained: Union[PathLike, tuple[_lille.Model, _lille.Tokenizer]],
        batch_size: Union[int, str] = "auto",
        add_bos_token: bool = False,
        device: Optional[str] = None,
        max_batch_size: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if isinstance(pretrained, tuple):
            self.model, self.tokenizer = pretrained
        else:
            self.model, self.tokenizer = load(pretrained, **kwargs)
        self.batch_size = 8 if batch_size == "auto" else int(batch_size)
        self.add_bos_token = add_bos_token
        # Keeps what contexts have in common, which harnesses ask one after the other.
        self._cache = _lille.make_prompt_cache(self.model)

    @property
    def rank(self) -> int:
        return 0

    @property
    def world_size(self) -> int:
        return 1

    @property
    def max_length(self) -> int:
        """Tokens of the context."""
        return self.model.args.block_size

    @property
    def eot_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has nothing before it."""
        return self.tokenizer.bos_token_id

    @property
    def tokenizer_name(self) -> str:
        return f"hastings-{self.tokenizer.vocab_size}"

    def tok_encode(self, string: str) -> list[int]:
        # Only what chat templates write begins so, and only there are names of control tokens meant.
        is_chat = string.startswith(self.tokenizer.bos_token)
        return self.tokenizer.encode(string, add_special_tokens=False, parse_special=is_chat)

    def tok_decode(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens)

    def apply_chat_template(
        self, chat_history: Sequence[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as a text, with the names of control tokens."""
        return self.tokenizer.apply_chat_template(
            chat_history, add_generation_prompt=add_generation_prompt, tokenize=False
        )

    def chat_template(self, chat_template: Union[bool, str] = False) -> Optional[str]:
        """Lille has one form of chats, which is no template of Jinja's."""
        return ""

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """For each (context, continuation): ln p of the continuation, and whether it is the likeliest."""
        return [self._loglikelihood(*request.args) for request in requests]

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """For each (text,): ln p of all of it, in windows that are as full as they can be."""
        return [self._loglikelihood_rolling(request.args[0]) for request in requests]

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """For each (context, gen_kwargs): what follows, up to one of the texts in until."""
        texts: dict[int, str] = {}
        for gen_kwargs, of_them in _by_arguments(requests).items():
            contexts = [requests[idx].args[0] for idx in of_them]
            texts.update(zip(of_them, self._generate(contexts, dict(gen_kwargs))))
        return [texts[idx] for idx in range(len(requests))]

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        if not context.startswith(self.tokenizer.bos_token):
            return _lille.encode_continuation(self.tokenizer, context, continuation, self.add_bos_token)
        ids = self.tok_encode(context.rstrip())
        return ids, self.tok_encode(context + continuation)[len(ids) :]

    def _loglikelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        context_ids, continuation_ids = self._encode_pair(context, continuation)
        return self.model.loglikelihood(context_ids, continuation_ids, self._cache)

    def _loglikelihood_rolling(self, text: str) -> float:
        ids = [self.prefix_token_id, *self.tok_encode(text)]
        total = 0.0
        for context, continuation in _rolling_windows(ids, self.max_length):
            total += self.model.loglikelihood(context, continuation, self._cache)[0]
        return total

    def _generate(self, contexts: Sequence[str], gen_kwargs: dict[str, Any]) -> list[str]:
        until = gen_kwargs.pop("until", ())
        max_gen_toks = gen_kwargs.pop("max_gen_toks", DEFAULT_MAX_GEN_TOKS)
        do_sample = gen_kwargs.pop("do_sample", None)
        temperature = gen_kwargs.pop("temperature", 0.0)
        sampling = {name: gen_kwargs.pop(name) for name in ("top_p", "top_k", "min_p") if name in gen_kwargs}
        if gen_kwargs:
            raise InvalidArgumentError(f"[generate_until] expected no other arguments, got {sorted(gen_kwargs)}")
        temp = 0.0 if do_sample is False else temperature
        prompts = []
        for context in contexts:
            ids = self.tok_encode(context)
            if (self.add_bos_token or not ids) and ids[:1] != [self.prefix_token_id]:
                ids.insert(0, self.prefix_token_id)
            prompts.append(ids)
        answers = batch_generate(
            self.model,
            self.tokenizer,
            prompts,
            max_tokens=max_gen_toks,
            sampler=_lille.make_sampler(temp, **sampling) if temp > 0 else None,
            completion_batch_size=self.batch_size,
            stop=[until] if isinstance(until, str) else [text for text in until if text],
            overflow="truncate-left",
            seed=0,
        )
        return answers.texts


def _by_arguments(requests: Sequence[Instance]) -> dict[tuple[tuple[str, Any], ...], list[int]]:
    """Indices of the requests with the same gen_kwargs, which are answered together."""
    groups: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for idx, request in enumerate(requests):
        items = sorted(request.args[1].items())
        key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in items)
        groups.setdefault(key, []).append(idx)
    return groups


def _rolling_windows(ids: Sequence[int], max_length: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Cuts a text after its first token into what is predicted and what is read before it, each token predicted once.

    Every window but the first reads max_length tokens, so that the last one has as much context as any.
    """
    for begin in range(1, len(ids), max_length):
        end = min(begin + max_length, len(ids))
        yield ids[max(end - 1 - max_length, 0) : begin], ids[begin:end]


if _register is not None:
    # lm_eval --model lille --model_args pretrained=...
    _register("lille")(LilleLM)
