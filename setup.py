"""Build and installation; the package itself is never imported.

Where torch and a C++ compiler are there (pip's ``--no-build-isolation``) the
native library is built, else the package is pure Python and works without.
"""

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

sys.path.insert(0, str(Path(__file__).parent))

from native_build import BuildWithNative, WheelForAnyPython

ROOT = Path(__file__).parent


def version() -> str:
    """The ``__version__`` of the package, read from its source."""
    source = (ROOT / "torch_geometric_uotp" / "__init__.py").read_text("utf-8")
    found = re.search(r"^__version__ = ['\"]([^'\"]+)['\"]", source, re.MULTILINE)
    if found is None:
        raise RuntimeError(
            "no line __version__ = '...' in torch_geometric_uotp/__init__.py"
        )
    return found[1]


def description() -> str:
    """The README, or nothing where a packager left it out."""
    readme = ROOT / "README.md"
    return readme.read_text("utf-8") if readme.exists() else ""


setup(
    cmdclass={"build_py": BuildWithNative, "bdist_wheel": WheelForAnyPython},
    name="torch-geometric-uotp",
    version=version(),
    description="Unbalanced optimal transport pooling for PyTorch Geometric: one "
    "learnable readout that mean, max, attention and softmax pooling are settings of",
    long_description=description(),
    long_description_content_type="text/markdown",
    author="the torch_geometric_uotp authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=[
        "graph neural networks",
        "pooling",
        "readout",
        "optimal transport",
        "pytorch geometric",
    ],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["torch_geometric_uotp", "torch_geometric_uotp.*"]),
    package_data={"torch_geometric_uotp": ["py.typed", "csrc/*"]},
    python_requires=">=3.11",
    install_requires=["torch>=2.10", "torch-geometric>=2.7"],
    extras_require={
        "demo": [
            "joblib",
            "matplotlib",
            "numpy",
            "rdkit",
            "scikit-learn",
            "scipy",
            "tqdm",
        ],
        "plot": ["matplotlib", "networkx", "scipy"],
        "test": [
            "POT",
            "hypothesis",
            "mypy",
            "pytest",
            "pytest-xdist",
            "pytorch-lightning",
            "ruff",
            "yacs",
        ],
    },
)
