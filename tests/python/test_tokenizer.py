"""The tokenizer, against the program."""

import json

import pytest
from support import ROOT, TINY, run_lille

import lille


def test_ids_are_tiktokens(tokenizer: lille.Tokenizer) -> None:
    vectors = json.loads((ROOT / "tests" / "golden" / "hastings" / "vectors.json").read_text())["text"]
    assert len(vectors) > 50
    for vector in vectors:
        text = vector["text"]
        assert tokenizer.encode(text, add_special_tokens=False) == vector["ordinary"]
        assert tokenizer.encode(text, add_special_tokens=False, parse_special=True) == vector["special"]
        assert tokenizer.decode(vector["ordinary"]) == text


def test_ids_are_the_programs(tokenizer: lille.Tokenizer) -> None:
    text = "It's 1984:\n\n\tna\u00efve caf\u00e9s \u2014 \u65e5\u672c\u8a9e <|user|> \U0001f600"
    ids = json.loads(run_lille("tokenize", "--model", str(TINY), "--json", text))
    assert tokenizer.encode(text, add_special_tokens=False) == ids
    assert tokenizer.encode(text) == [tokenizer.bos_token_id, *ids]
    assert tokenizer.decode(ids) == text
    parsed = json.loads(run_lille("tokenize", "--model", str(TINY), "--json", "--parse-special", text))
    assert parsed != ids
    assert tokenizer.encode(text, add_special_tokens=False, parse_special=True) == parsed


def test_bytes_come_back(tokenizer: lille.Tokenizer) -> None:
    every = bytes(range(256))
    ids = tokenizer.encode(every, add_special_tokens=False)
    assert tokenizer.decode_bytes(ids) == every
    assert "\ufffd" in tokenizer.decode(ids)
    with pytest.raises(UnicodeEncodeError):
        tokenizer.encode("\ud800")
    with pytest.raises(TypeError, match="expected str or bytes, got int"):
        tokenizer.encode(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="99999"):
        tokenizer.decode([99999])


def test_special_tokens(tokenizer: lille.Tokenizer) -> None:
    assert tokenizer.vocab_size == len(tokenizer) == 32768
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<|startoftext|>", 32767)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|endoftext|>", 32764)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<|pad|>", 32763)
    # An answer ends where the user speaks, too.
    assert tokenizer.eos_token_ids == {32764, 32766}
    assert tokenizer.decode([32767, 32, 32764]) == "<|startoftext|>A<|endoftext|>"
    assert tokenizer.decode([32767, 32, 32764], skip_special_tokens=True) == "A"


def test_chats_are_written_as_the_model_was_trained(tokenizer: lille.Tokenizer) -> None:
    messages = [
        {"role": "user", "content": "Hi <|assistant|>"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Why?"},
    ]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)

    def plain(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    expected = [32767, 32766, *plain("Hi <|assistant|>"), 32765, *plain("Yes"), 32764, 32766, *plain("Why?")]
    assert ids == [*expected, 32765]
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=False) == expected
    assert tokenizer.apply_chat_template(messages, tokenize=False) == tokenizer.decode(ids)
    with pytest.raises(ValueError, match="system"):
        tokenizer.apply_chat_template([{"role": "system", "content": "Be kind"}])
    with pytest.raises(KeyError, match="content"):
        tokenizer.apply_chat_template([{"role": "user"}])


def test_pieces_are_whole_characters(tokenizer: lille.Tokenizer) -> None:
    text = "caf\u00e9 \U0001f600!"
    detokenizer = tokenizer.detokenizer
    pieces = []
    for token in tokenizer.encode(text, add_special_tokens=False):
        detokenizer.add_token(token)
        pieces.append(detokenizer.last_segment)
    detokenizer.finalize()
    assert "".join(pieces) == detokenizer.text == text
    assert "\ufffd" not in "".join(pieces)
    detokenizer.reset()
    assert (detokenizer.text, detokenizer.last_segment) == ("", "")
    assert lille.StreamingDetokenizer(tokenizer).text == ""
