"""mypy --strict has nothing to say of the package, of the tests, and of the examples in the documents."""

import os
import subprocess
import sys
from pathlib import Path

import lille
from support import ROOT
from test_docs import examples


def test_mypy_is_content(tmp_path: Path) -> None:
    files = [str(ROOT / "python" / "lille"), *map(str, sorted((ROOT / "tests" / "python").glob("*.py")))]
    for idx, document in enumerate(("docs/PYTHON.md", "README.md")):
        program = tmp_path / f"example_{idx}.py"
        program.write_text("\n".join(examples(document)))
        files.append(str(program))
    cache = Path(os.environ["LILLE_BUILD_DIR"]) / "mypy"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), *files],
        cwd=ROOT / "python",
        env={**os.environ, "MYPYPATH": f"{ROOT / 'python'}:{ROOT / 'tests' / 'python'}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_stubs_have_what_the_compiled_module_has() -> None:
    stub = (ROOT / "python" / "lille" / "_lille.pyi").read_text()
    for name in vars(lille._lille):
        if not name.startswith("_"):
            assert f"class {name}" in stub or f"def {name}(" in stub, name
    for owner in (lille.Model, lille.Tokenizer, lille.PromptCache, lille.ModelArgs, lille.GenerationDefaults):
        for name in vars(owner):
            if not name.startswith("_"):
                assert f"def {name}(" in stub, f"{owner.__name__}.{name}"
