"""Fixtures: the small model of the repository, loaded once."""

import pytest
from support import TINY

import lille


@pytest.fixture(scope="session")
def loaded() -> tuple[lille.Model, lille.Tokenizer]:
    return lille.load(TINY, threads=1)


@pytest.fixture()
def model(loaded: tuple[lille.Model, lille.Tokenizer]) -> lille.Model:
    return loaded[0]


@pytest.fixture()
def tokenizer(loaded: tuple[lille.Model, lille.Tokenizer]) -> lille.Tokenizer:
    return loaded[1]
