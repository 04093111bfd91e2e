"""Models by path or by their name on the hub."""

import json
import os
from typing import Any, Literal, Optional, Union, overload

from . import _lille
from .errors import InvalidArgumentError

PathLike = Union[str, "os.PathLike[str]"]


def refuse_unless_absent(where: str, reasons: dict[str, str], **values: Any) -> None:
    """Refuses, by name, arguments of mlx-lm that mean nothing here; None, False and an empty dict are absent."""
    for name, value in values.items():
        is_absent = value is None or value is False or (isinstance(value, dict) and not value)
        if not is_absent:
            raise InvalidArgumentError(f"[{where}] {name}: expected None, got {value!r}. Hint: {reasons[name]}")


def _measured_layouts() -> str:
    # The program's folder, so that a layout is measured once for both.
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        home = os.environ.get("HOME", "")
        if not os.path.isabs(home):
            return ""
        cache = os.path.join(home, ".cache")
    return os.path.join(cache, "lille")


@overload
def load(
    path_or_hf_repo: PathLike,
    tokenizer_config: Optional[dict[str, Any]] = ...,
    model_config: Optional[dict[str, Any]] = ...,
    adapter_path: Optional[str] = ...,
    lazy: bool = ...,
    return_config: Literal[False] = ...,
    revision: Optional[str] = ...,
    trust_remote_code: bool = ...,
    *,
    rope: Optional[str] = ...,
    threads: int = ...,
    exact: bool = ...,
) -> tuple[_lille.Model, _lille.Tokenizer]: ...


@overload
def load(
    path_or_hf_repo: PathLike,
    tokenizer_config: Optional[dict[str, Any]] = ...,
    model_config: Optional[dict[str, Any]] = ...,
    adapter_path: Optional[str] = ...,
    lazy: bool = ...,
    *,
    return_config: Literal[True],
    revision: Optional[str] = ...,
    trust_remote_code: bool = ...,
    rope: Optional[str] = ...,
    threads: int = ...,
    exact: bool = ...,
) -> tuple[_lille.Model, _lille.Tokenizer, dict[str, Any]]: ...


def load(
    path_or_hf_repo: PathLike,
    tokenizer_config: Optional[dict[str, Any]] = None,
    model_config: Optional[dict[str, Any]] = None,
    adapter_path: Optional[str] = None,
    lazy: bool = False,
    return_config: bool = False,
    revision: Optional[str] = None,
    trust_remote_code: bool = False,
    *,
    rope: Optional[str] = None,
    threads: int = 0,
    exact: bool = False,
) -> Any:
    """Loads a model and its tokenizer.

    path_or_hf_repo: a folder, a GGUF file, a .pt file, or OWNER/NAME[@REVISION] on the Hugging Face hub.
    lazy, trust_remote_code: without effect; weights are mapped and read as they are needed, no file is ever run.
    return_config: whether config.json comes third, as a dict.
    revision: a branch, tag or commit of a hub model.
    rope: rotary layout, interleaved, half or original; None: the model's, else measured (docs/ROPE.md).
    threads: to compute with; 0: every usable processor.
    exact: compute with activations in float32 (docs/PERFORMANCE.md).
    Raises FileNotFoundError, OSError for a malformed file, ValueError for a wrong argument.
    """
    refuse_unless_absent(
        "load",
        {
            "tokenizer_config": "the tokenizer is read as the files beside the model say",
            "model_config": "config.json of the model is used as it is",
            "adapter_path": "merge an adapter into the model's weights first",
        },
        tokenizer_config=tokenizer_config,
        model_config=model_config,
        adapter_path=adapter_path,
    )
    name = os.fspath(path_or_hf_repo)
    path = _lille.resolve_model(f"{name}@{revision}" if revision is not None else name)
    model = _lille.load_model(
        path,
        rope=rope or "",
        threads=threads,
        exact=exact,
        kernels=os.environ.get("LILLE_FORCE_ISA", ""),
        cache_folder=_measured_layouts(),
    )
    tokenizer = _lille.load_tokenizer(model.path)
    if return_config:
        return model, tokenizer, json.loads(model.args.to_json())
    return model, tokenizer
