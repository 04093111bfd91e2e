"""The interface of lm-evaluation-harness, without it: requests have the one attribute that it reads."""

import importlib
import json
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, TINY, run_lille, token_logprobs

import lille
import lille.lm_eval
from lille.lm_eval import LilleLM


@dataclass
class Request:
    """As lm_eval.api.instance.Instance."""

    args: tuple[Any, ...]


@pytest.fixture(scope="module")
def lm(loaded: tuple[lille.Model, lille.Tokenizer]) -> LilleLM:
    return LilleLM(loaded)


def test_choices_have_the_programs_scores(lm: LilleLM, tmp_path: Path) -> None:
    file = ROOT / "tasks" / "grammar.jsonl"
    items = [json.loads(line) for line in file.read_text().splitlines() if line]
    run_lille("eval", "--model", str(TINY), "--threads", "1", "--output", str(tmp_path / "scores"), str(file))
    lines = [json.loads(line) for line in (tmp_path / "scores").read_text().splitlines()]
    expected = [choice["log_likelihood"] for line in lines for choice in line["choices"]]
    requests = [Request((item["context"], f" {choice}")) for item in items for choice in item["choices"]]
    assert len(requests) == len(expected) > 50
    assert [score for score, _ in lm.loglikelihood(requests)] == expected


def test_loglikelihoods_are_sums_by_their_formula(lm: LilleLM) -> None:
    for context, continuation in [("The cat sat on", " the mat"), ("", "Once"), ("A glacier is ", "ice")]:
        before = lm.tok_encode(context.rstrip()) or [lm.prefix_token_id]
        whole = [*before, *lm.tok_encode(context[len(context.rstrip()) :] + continuation)]
        rows = lm.model(whole)[len(before) - 1 : -1]
        expected = token_logprobs(rows, whole[len(before) :]).sum()
        is_greedy = [row.argmax() for row in rows] == whole[len(before) :]
        (result,) = lm.loglikelihood([Request((context, continuation))])
        assert result[0] == pytest.approx(expected, rel=1e-6)
        assert result[1] == is_greedy
    likeliest = lm.tok_decode([int(lm.model(lm.tok_encode("Once upon a"))[-1].argmax())])
    assert lm.loglikelihood([Request(("Once upon a", likeliest))])[0][1]


def test_rolling_predicts_each_token_once_with_full_windows(lm: LilleLM) -> None:
    class ShortContext(LilleLM):
        max_length = 40

    lm = ShortContext((lm.model, lm.tokenizer))
    text = "A glacier is a river of ice. " * 12
    ids = [lm.prefix_token_id, *lm.tok_encode(text)]
    n = lm.max_length
    assert 2 * n < len(ids) < 3 * n
    # Two windows without overlap, and a last one that reaches back.
    windows = [(0, 1), (n, n + 1), (len(ids) - 1 - n, 2 * n + 1)]
    expected = 0.0
    for begin, first_predicted in windows:
        end = min(begin + n, len(ids) - 1)
        rows = lm.model(ids[begin:end])[first_predicted - 1 - begin :]
        expected += token_logprobs(rows, ids[first_predicted : end + 1]).sum()
    assert lm.loglikelihood_rolling([Request((text,))]) == [pytest.approx(expected, rel=1e-6)]
    short = lm.loglikelihood_rolling([Request(("Once",)), Request(("",))])
    assert short == [pytest.approx(lm.loglikelihood([Request(("", "Once"))])[0][0]), 0.0]


def test_generate_until_stops_where_it_should(lm: LilleLM) -> None:
    contexts = ["Once upon a time", "A glacier is", "The"]
    kwargs = {"until": ["\n", "."], "max_gen_toks": 24, "do_sample": False, "temperature": 0.0}
    requests = [Request((context, dict(kwargs))) for context in contexts]
    requests.append(Request(("The", {"until": " ", "max_gen_toks": 2})))
    texts = lm.generate_until(requests)
    for context, text in zip(contexts, texts):
        ids = lm.tok_encode(context)
        assert text == lille.generate(lm.model, lm.tokenizer, ids, max_tokens=24, stop=["\n", "."])
        assert "." not in text
    assert " " not in texts[3]
    sampled = Request(("The", {"until": [], "max_gen_toks": 5, "do_sample": True, "temperature": 1.0, "top_p": 0.9}))
    assert lm.generate_until([sampled]) == lm.generate_until([sampled])
    with pytest.raises(ValueError, match="num_beams"):
        lm.generate_until([Request(("The", {"num_beams": 4}))])


def test_a_context_that_is_too_long_is_cut(lm: LilleLM) -> None:
    long = "word " * 700
    assert lm.generate_until([Request((long, {"max_gen_toks": 3}))])[0] != ""
    assert lm.loglikelihood([Request((long, "end"))])[0][0] < 0


def test_chats(lm: LilleLM) -> None:
    text = lm.apply_chat_template([{"role": "user", "content": "Why?"}])
    assert text == "<|startoftext|><|user|>Why?<|assistant|>"
    ids = lm.tokenizer.apply_chat_template([{"role": "user", "content": "Why?"}])
    assert lm.tok_encode(text) == ids
    (result,) = lm.loglikelihood([Request((text, "Because"))])
    assert result[0] == lm.model.loglikelihood(ids, lm.tok_encode("Because"))[0]
    (answer,) = lm.generate_until([Request((text, {"until": ["."], "max_gen_toks": 4}))])
    assert answer == lille.generate(lm.model, lm.tokenizer, ids, max_tokens=4, stop=".")


def test_what_harnesses_ask_of_a_model(lm: LilleLM) -> None:
    assert (lm.rank, lm.world_size, lm.max_length) == (0, 1, 512)
    assert (lm.eot_token_id, lm.prefix_token_id) == (32764, 32767)
    assert lm.tokenizer_name and lm.chat_template() == ""
    assert LilleLM(str(TINY), batch_size="4", device="cpu").batch_size == 4


def test_where_the_harness_is_the_model_is_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class LM:
        """Stands for lm_eval.api.model.LM."""

        def __init__(self) -> None:
            self.was_initialised = True

    registered: dict[str, Any] = {}

    def register_model(name: str) -> Any:
        def register(of_class: Any) -> Any:
            registered[name] = of_class
            return of_class

        return register

    contents: dict[str, dict[str, Any]] = {
        "lm_eval": {},
        "lm_eval.api": {},
        "lm_eval.api.model": {"LM": LM},
        "lm_eval.api.registry": {"register_model": register_model},
    }
    for name, content in contents.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    again = importlib.reload(lille.lm_eval)
    try:
        assert registered == {"lille": again.LilleLM}
        assert issubclass(again.LilleLM, LM)
        assert again.LilleLM(TINY).was_initialised
    finally:
        monkeypatch.undo()
        importlib.reload(lille.lm_eval)
