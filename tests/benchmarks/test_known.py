import gzip
import lzma
import shutil

import numpy as np
import pytest
import torch

from benchmarks import tu
from benchmarks.bags import read, read_idx
from benchmarks.image_classification import BYTES, Cifar10
from benchmarks.known import CLASSES, KNOWN, check, described
from benchmarks.multi_instance import KNOWN as BAGS
from benchmarks.sets import SetExamples


def test_says_what_differs_and_nothing_else(tmp_path):
    found = {"bags": 91, "instances": 475, "features": 166, CLASSES: [45, 46]}
    with pytest.raises(ValueError, match="not musk1 as published") as caught:
        check("musk1", tmp_path / "musk1.csv", found)
    message = str(caught.value)
    assert str(tmp_path / "musk1.csv") in message
    assert "it has 91 bags, 475 instances, 45 + 46 in the classes, expected" in message
    assert "are 92 bags, 476 instances, 45 + 47 in the classes." in message
    assert "features" not in message


def test_lets_other_names_pass(tmp_path):
    check("mine", tmp_path / "mine.csv", {"bags": 2})


def test_describes_in_one_line():
    bags = SetExamples.from_counts(
        torch.zeros(1005, 2), torch.tensor([1000, 5]), torch.tensor([1, 0])
    )
    said = "2 bags, 1,005 instances, 2 features, 1 + 1 in the classes"
    assert described(bags.facts()) == said


@pytest.mark.parametrize("name", [name for name in BAGS if name != "dr_asu"])
def test_bags_of_a_known_name_must_be_all_there(shared_data, tmp_path, name):
    whole = (shared_data / "mil" / f"{name}.csv").read_bytes()
    path = tmp_path / f"{name}.csv"
    path.write_bytes(whole[: whole.rindex(b"\n", 0, len(whole) // 2) + 1])
    with pytest.raises(ValueError, match=f"{name}.csv' is not {name} as published"):
        read(path)
    own = path.rename(tmp_path / "mine.csv")
    assert 0 < len(read(own)) < KNOWN[name]["bags"]


def test_a_tu_set_of_a_known_name_must_be_all_there(write_tu, tmp_path):
    root = write_tu("MUTAG", labels=[0, 1, 2, 1, 0])
    with pytest.raises(ValueError, match="is not MUTAG as published: it has 40 graphs"):
        tu.load("MUTAG", root, tmp_path / "cache")


@pytest.mark.parametrize("name", [n for n in KNOWN if "ubyte" in n])
def test_a_file_of_mnist_must_be_whole(tmp_path, name):
    head = bytes([0, 0, 8, 1, 0, 0, 0, 3])
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(head + b"abc"))
    with pytest.raises(ValueError, match=rf"{name}.gz' is not {name} as .* SHA-256"):
        read_idx(tmp_path / name)
    (tmp_path / f"{name}.gz").rename(tmp_path / "mine.gz")
    assert len(read_idx(tmp_path / "mine")) == 3


def test_images_of_cifar_must_be_of_all_classes_alike(tmp_path):
    for name, count in (("train_10000", 9_999), ("test_2000", 2_000)):
        images = np.zeros((count, BYTES), np.uint8)
        images[:, 0] = np.arange(count) % 10
        packed = lzma.compress(images.tobytes(), preset=0)
        (tmp_path / f"cifar10_{name}.bin.xz").write_bytes(packed)
    with pytest.raises(ValueError, match=r"it has 9,999 images, .* are 10,000"):
        Cifar10(tmp_path).data(0)


def test_a_known_file_with_other_numbers_in_between_is_found(shared_data, tmp_path):
    path = tmp_path / "t10k-labels-idx1-ubyte.xz"
    shutil.copy(shared_data / "mnist" / path.name, path)
    raw = bytearray(lzma.decompress(path.read_bytes()))
    raw[1000] ^= 1
    path.write_bytes(lzma.compress(bytes(raw)))
    with pytest.raises(ValueError, match="SHA-256"):
        read_idx(tmp_path / "t10k-labels-idx1-ubyte")
