"""What docs/PYTHON.md and the README show of Python runs as it stands."""

import os
import re
from pathlib import Path

import pytest
from support import ROOT


def examples(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", ["docs/PYTHON.md", "README.md"])
def test_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    blocks = examples(document)
    assert blocks
    # The blocks of a document follow one another, as its reader does.
    names: dict[str, object] = {"__name__": "example"}
    for idx, block in enumerate(blocks):
        exec(compile(block, f"{document}[{idx}]", "exec"), names)
    assert os.getcwd() == str(tmp_path)
