"""pip builds and installs the package in a virtual environment, with Debian's packages alone."""

import os
import subprocess
import sys
from pathlib import Path

from support import ROOT, TINY

PROGRAM = """
import lille
model, tokenizer = lille.load({model!r})
assert lille.__file__.startswith({prefix!r}), lille.__file__
print(lille.__file__, len(lille.generate(model, tokenizer, "Once", max_tokens=3)) > 0)
"""


def test_pip_installs_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: object) -> str:
        done = subprocess.run(
            list(map(str, command)),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", venv)
    python = venv / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-index", "--no-build-isolation", ROOT / "python")
    shown = run(python, "-c", PROGRAM.format(model=str(TINY), prefix=str(venv)))
    path, has_text = shown.split()
    assert has_text == "True"
    files = {file.name for file in Path(path).parent.iterdir()}
    assert {"py.typed", "_lille.pyi", "__init__.py", "lm_eval.py"} <= files
