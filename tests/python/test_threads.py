"""Many threads with one model."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import lille

N_THREADS = 16


def test_threads_give_the_serial_answers(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    sampler = lille.make_sampler(0.8, 0.9)

    def answer(idx: int) -> str:
        return lille.generate(
            model, tokenizer, f"Number {idx} is", max_tokens=6, sampler=sampler, seed=idx
        )

    serial = [answer(idx) for idx in range(N_THREADS)]
    assert len(set(serial)) > N_THREADS // 2
    with ThreadPoolExecutor(N_THREADS) as pool:
        assert list(pool.map(answer, range(N_THREADS))) == serial


def test_threads_give_the_serial_logits(model: lille.Model) -> None:
    prompts = [[32767, 257 + idx, 640] for idx in range(N_THREADS)]
    serial = [model(prompt) for prompt in prompts]
    with ThreadPoolExecutor(N_THREADS) as pool:
        for expected, logits in zip(serial, pool.map(model, prompts)):
            assert np.array_equal(logits, expected)


def test_callables_run_in_their_own_thread(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    def answer(idx: int) -> set[int]:
        seen = set()

        def sampler(logprobs: Any) -> int:
            seen.add(threading.get_ident())
            return int(logprobs.argmax())

        lille.generate(model, tokenizer, "Once", max_tokens=3, sampler=sampler)
        return seen ^ {threading.get_ident()}

    # In the main thread, too, where another one computes.
    assert answer(0) == set()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(answer, range(8))) == [set()] * 8


def test_answers_may_be_interleaved(model: lille.Model, tokenizer: lille.Tokenizer) -> None:
    prompts = ["A glacier is", "Once upon a time"]
    streams = [lille.stream_generate(model, tokenizer, prompt, max_tokens=6) for prompt in prompts]
    texts = ["", ""]
    for pieces in zip(*streams):
        for idx, piece in enumerate(pieces):
            texts[idx] += piece.text
    assert texts == [lille.generate(model, tokenizer, prompt, max_tokens=6) for prompt in prompts]
