"""Without the native library, tests ask for the portable path.

The warning of its absence would fail the first of them, since warnings are errors. This
comes before anything imports the package.
"""

import os
from importlib.util import find_spec
from pathlib import Path

PACKAGE = find_spec("torch_geometric_uotp")
assert PACKAGE is not None
assert PACKAGE.origin is not None

if not Path(PACKAGE.origin).with_name("_native.so").exists():
    os.environ.setdefault("UOTP_BACKEND", "portable")
