"""The native library's file, good or not, and what is said without it."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import native_build
from torch_geometric_uotp import UOTPAggregation, library, ops

PACKAGE = Path(ops.__file__).parent
ONCE = """
import warnings
from pathlib import Path
with warnings.catch_warnings(record=True) as at_import:
    warnings.simplefilter("always")
    import torch, torch_geometric_uotp
    from torch_geometric_uotp import UOTPAggregation, backend
    ours = Path(torch_geometric_uotp.__file__).parent
assert ours.parent == Path.cwd(), ours
assert not [w for w in at_import if "native library" in str(w.message)]
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    for solver in ("sinkhorn", "badmm"):
        UOTPAggregation(4, solver=solver)(torch.randn(3, 4)).sum().backward()
print(backend())
print(*(w.message for w in found), sep="\\n")
"""


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UOTP_BACKEND", raising=False)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process, without the library."""
    monkeypatch.setattr(ops, "AVAILABLE", False)
    monkeypatch.setattr(ops, "REASON", "the native library was not built")
    monkeypatch.setattr(library, "_warned", Lock())


def copy_of_package(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=ignored)
    return folder / PACKAGE.name


def once(folder: Path, **environment: str) -> list[str]:
    inherited = {k: v for k, v in os.environ.items() if k != "UOTP_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", ONCE],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


def built_library() -> Path:
    if not ops.LIBRARY.exists():
        pytest.skip("the library is not built")
    return ops.LIBRARY


def test_without_the_library_one_warning_says_why_and_what_to_do(tmp_path) -> None:
    copy_of_package(tmp_path)
    backend, warning, *rest = once(tmp_path)
    assert backend == "portable (the native library was not built)"
    assert "was not built" in warning
    assert "--no-build-isolation" in warning
    assert "UOTP_BACKEND=portable" in warning
    assert str(tmp_path) in warning
    assert not rest
    assert once(tmp_path, UOTP_BACKEND="portable") == [
        "portable (UOTP_BACKEND=portable)",
        "",
    ]


def test_a_library_cut_in_half_is_left_alone(tmp_path: Path) -> None:
    whole = built_library().read_bytes()
    package = copy_of_package(tmp_path)
    (package / "_native.so").write_bytes(whole[: len(whole) // 2])
    backend, warning, *rest = once(tmp_path)
    assert backend.startswith("portable (the native library does not load: it is cut")
    assert "it is cut short" in warning
    assert not rest


def test_a_library_of_other_sources_is_left_alone(tmp_path: Path) -> None:
    built_library()
    package = copy_of_package(tmp_path)
    shutil.copy(ops.LIBRARY, package)
    kernels = package / "csrc" / "kernels.cpp"
    kernels.write_text(kernels.read_text() + "// changed\n")
    backend, warning, *rest = once(tmp_path)
    assert backend == "portable (the native library was built from other sources)"
    assert "install the package again" in warning
    assert not rest


def undefined(path: Path) -> str:
    compiler = native_build.compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = path.with_suffix(".cpp")
    source.write_text("void of_another_torch(); void f() { of_another_torch(); }")
    command = [*compiler, "-shared", "-fPIC", str(source), "-o", str(path)]
    subprocess.run(command, check=True)
    return "does not load: undefined symbol: .*of_another_torch"


def foreign(path: Path) -> str:
    shutil.copy(torch._C.__file__, path)
    return "was built from other sources"


def text(path: Path) -> str:
    path.write_text("no library\n")
    return "does not load: it is not a shared library"


def folder(path: Path) -> str:
    path.mkdir()
    return "does not load: it is not a file"


def dangling(path: Path) -> str:
    path.symlink_to("nowhere.so")
    return "does not load: it is not a file"


def nothing(path: Path) -> str:
    return "was not built"


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize("make", [nothing, text, folder, dangling, undefined, foreign])
def test_what_does_not_load_is_named(
    make: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(library, "digest", lambda: "of these")
    path = tmp_path / "_native.so"
    expected = f"^the native library {make(path)}"
    reason = str(library.load(path))
    assert re.match(expected, reason)
    assert str(tmp_path) not in reason
    monkeypatch.setenv("UOTP_BACKEND", "native")
    with pytest.raises(RuntimeError, match=r"UOTP_BACKEND=native, but the native") as e:
        library.load(path)
    assert reason in str(e.value)
    assert str(path) in str(e.value)


@pytest.mark.usefixtures("unset")
def test_without_sources_beside_it_any_library_of_ours_is_taken(monkeypatch) -> None:
    if not ops.AVAILABLE:
        pytest.skip("the library is not in use")
    monkeypatch.setattr(library, "digest", lambda: None)
    assert library.load(ops.LIBRARY) is None


def pool(x: Tensor) -> Tensor:
    layer = UOTPAggregation(4, learn=False).to(x.device)
    return layer(x, dim_size=1)


@pytest.mark.usefixtures("missing")
def test_a_warning_comes_once() -> None:
    x = torch.randn(3, 4)
    with pytest.warns(UserWarning, match="the native library was not built"):
        pool(x)
    pool(x)


@pytest.mark.usefixtures("missing")
def test_a_warning_that_is_an_error_comes_once() -> None:
    with pytest.raises(UserWarning, match="many times slower on a CPU"):
        pool(torch.randn(3, 4))
    assert pool(torch.randn(3, 4)).shape == (1, 4)


def on_meta() -> None:
    ops.takes(torch.empty(3, 4, device="meta"))


def fake() -> None:
    with FakeTensorMode() as mode:
        ops.takes(mode.from_tensor(torch.randn(3, 4)))


def traced() -> None:
    make_fx(lambda x: x + ops.takes(x))(torch.randn(3, 4))


def compiled() -> None:
    layer = UOTPAggregation(4)
    run = torch.compile(lambda x: layer(x, dim_size=1), backend="eager", fullgraph=True)
    run(torch.randn(3, 4))


def exported() -> None:
    class Layer(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + ops.takes(x)

    torch.export.export(Layer(), (torch.randn(3, 4),))


def batched() -> None:
    torch.func.vmap(pool)(torch.randn(2, 3, 4))


def differentiated() -> None:
    torch.func.grad(lambda x: pool(x).sum())(torch.randn(3, 4))


def in_forward_mode() -> None:
    torch.func.jvp(pool, (torch.randn(3, 4),), (torch.randn(3, 4),))


QUIET = (
    on_meta,
    fake,
    compiled,
    exported,
    batched,
    differentiated,
    in_forward_mode,
    traced,
)


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("run", QUIET)
def test_compilers_transforms_and_stand_ins_hear_nothing(
    run: Callable[[], None],
) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run()
    assert not [w for w in found if "native library" in str(w.message)]
    # What follows is a computation, and warns.
    with pytest.warns(UserWarning, match="the native library was not built"):
        pool(torch.randn(3, 4))


@pytest.mark.usefixtures("missing")
def test_who_asked_for_the_portable_path_hears_nothing(monkeypatch) -> None:
    monkeypatch.setattr(ops, "REASON", library.ASKED_FOR)
    assert pool(torch.randn(3, 4)).shape == (1, 4)
