"""Ctrl-C, while the library computes and between tokens."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Optional

import numpy as np
import pytest

import lille
from lille import _lille

N_SIGNALS = 4


class Interrupter:
    """Sends SIGINT as soon as the last one was handled, which raises after N_SIGNALS that came while compute() ran.

    All but the first of these can only be handled while the library computes. That they are sent at all takes the
    GIL, which the library must not hold meanwhile.
    """

    def __init__(self) -> None:
        self.n_handled = 0
        self.may_send = threading.Semaphore(1)
        self.is_over = False
        self.thread = threading.Thread(target=self.send)

    def send(self) -> None:
        while self.may_send.acquire() and not self.is_over:
            os.kill(os.getpid(), signal.SIGINT)

    def handle(self, _signal: int, frame: Optional[FrameType]) -> None:
        if frame is not None and frame.f_code is compute.__code__:
            self.n_handled += 1
        if self.n_handled == N_SIGNALS:
            raise KeyboardInterrupt
        self.may_send.release()

    def __enter__(self) -> "Interrupter":
        self.before = signal.signal(signal.SIGINT, self.handle)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.is_over = True
        self.may_send.release()
        self.thread.join()
        signal.signal(signal.SIGINT, self.before)


def compute(arguments: tuple[Any, ...]) -> None:
    _lille.batch_generate(*arguments)


def much_work(loaded: tuple[lille.Model, lille.Tokenizer], prompt: Any, max_tokens: int) -> tuple[Any, ...]:
    """Arguments of a batch that takes far longer than any test."""
    n = 10_000
    arguments = _lille.StreamArguments()
    bias = {token: -1e9 for token in loaded[1].eos_token_ids}
    arguments.logits_processors = lille.make_logits_processors(logit_bias=bias)
    return (*loaded, [prompt] * n, [], [max_tokens] * n, arguments, _lille.BatchOptions(), False, None)


def test_ctrl_c_ends_prompts(loaded: tuple[lille.Model, lille.Tokenizer]) -> None:
    arguments = much_work(loaded, np.arange(1000, 1500, dtype=np.int32), max_tokens=1)
    with pytest.raises(KeyboardInterrupt), Interrupter() as interrupter:
        compute(arguments)
    assert interrupter.n_handled == N_SIGNALS


def test_ctrl_c_ends_answers(loaded: tuple[lille.Model, lille.Tokenizer]) -> None:
    arguments = much_work(loaded, np.array([7454], dtype=np.int32), max_tokens=500)
    with pytest.raises(KeyboardInterrupt), Interrupter() as interrupter:
        compute(arguments)
    assert interrupter.n_handled == N_SIGNALS


def test_ctrl_c_between_tokens(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    texts = []
    with pytest.raises(KeyboardInterrupt):
        for response in lille.stream_generate(model, tokenizer, "Once upon a time", max_tokens=50):
            texts.append(response.text)
            if len(texts) == 3:
                signal.raise_signal(signal.SIGINT)
    assert len(texts) == 3
    assert lille.generate(model, tokenizer, "Once upon a time", max_tokens=3) == "".join(texts)


def test_a_cache_survives_ctrl_c(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    cache = lille.make_prompt_cache(model)
    model([1, 2, 3], cache)

    def interrupt(n_processed: int, n_prompt: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        lille.generate(model, tokenizer, [4, 5, 6], prompt_cache=cache, prompt_progress_callback=interrupt)
    assert cache.tokens == [1, 2, 3]


def test_an_answer_that_was_interrupted_has_ended(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    def interrupt(_: Any) -> int:
        raise KeyboardInterrupt

    stream = lille.stream_generate(model, tokenizer, "Once", sampler=interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert list(stream) == []
