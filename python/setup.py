"""Has CMake build the compiled part of the package; pyproject.toml says the rest."""

import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "python-package"


def version() -> str:
    """The version that CMake gives the project."""
    found = re.search(r"project\(lille VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert found is not None
    return found.group(1)


class CMakeBuild(build_ext):
    """Builds the target lille_python. LILLE_BUILD_DIR names a configured build folder to use instead of a new one."""

    def build_extension(self, ext: Extension) -> None:
        named = os.environ.get("LILLE_BUILD_DIR")
        folder = Path(named) if named else Path(self.build_temp).resolve()
        if named is None:
            subprocess.run(
                ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                 "-DLILLE_PYTHON=ON", "-DLILLE_DEVELOPER_MODE=OFF", "-DLILLE_PROGRAM=OFF", "-DLILLE_INSTALL=OFF",
                 f"-DPython_EXECUTABLE={sys.executable}"],
                check=True,
            )
        subprocess.run(["cmake", "--build", folder, "--target", "lille_python"], check=True)
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.copy_file(str(folder / "python" / "lille" / target.name), str(target))


BUILD.mkdir(parents=True, exist_ok=True)
setup(
    version=version(),
    ext_modules=[Extension("lille._lille", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    options={"build": {"build_base": str(BUILD)}, "egg_info": {"egg_base": str(BUILD)}},
)
