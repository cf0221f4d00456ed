"""Processes that start as copies of one which has imported what takes long."""

import os
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("benchmarks.suite", "benchmarks.graph_classification", __name__)


def context() -> ForkServerContext:
    """The server of copies; its first caller starts it."""
    made = get_context("forkserver")
    made.set_forkserver_preload([*MODULES])
    before = os.environ.get("PYTHONPATH")
    # Python 3.11's server has no other way to find the modules.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return made
