import lzma

import pytest
import torch

from benchmarks.absent import Absent
from benchmarks.image_classification import (
    BYTES,
    ImageClassifier,
    ImageExamples,
    read_cifar,
    shift_and_flip,
    tasks,
)
from benchmarks.readouts import resolve

IMAGES = torch.arange(1.0, 2 * 3 * 8 * 8 + 1).view(2, 3, 8, 8)


def test_normalises_colours_by_the_images_told():
    x = torch.randn(10, 3, 4, 4) * 5 + torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)
    train = torch.arange(6)
    fitted = ImageExamples(x, torch.zeros(10)).fitted(train).select(train)[0]
    torch.testing.assert_close(
        fitted.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(fitted.std((0, 2, 3), correction=0), torch.ones(3))


def test_augmented_images_are_shifted_parts_of_themselves_or_their_mirrors():
    draws = [
        shift_and_flip(IMAGES, torch.Generator().manual_seed(seed)) for seed in range(8)
    ]
    assert all(x.shape == IMAGES.shape for x in draws)
    mirrored = set()
    for x in draws:
        for number, image in enumerate(x):
            row = next(r for r in image[0] if (r > 0).sum() > 1)
            values = row[row > 0]
            mirrored.add(bool(values[1] < values[0]))
            assert torch.equal(values.diff().abs(), torch.ones(len(values) - 1))
            inside = set(IMAGES[number].flatten().tolist()) | {0.0}
            assert set(image.flatten().tolist()) <= inside
    assert mirrored == {True, False}
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize("readout", ["mean", "max", "uotp", "mean||max"])
def test_classifies_each_image_by_itself(readout):
    model = ImageClassifier(3, (4, 8), 10, resolve(readout)).eval()
    logits = model(IMAGES)
    assert logits.shape == (2, 10)
    torch.testing.assert_close(model(IMAGES[1:]), logits[1:])


def test_mean_readout_is_average_pooling():
    model = ImageClassifier(3, (4, 8), 10, resolve("mean")).eval()
    maps = model.backbone(IMAGES)
    assert maps.shape == (2, 8, 4, 4)
    torch.testing.assert_close(model(IMAGES), model.head(maps.mean((2, 3))))


def test_reads_the_binary_form(tmp_path):
    path = tmp_path / "images.bin.xz"
    path.write_bytes(lzma.compress(bytes([3, *range(256)] + [0] * (BYTES - 257))))
    images, labels = read_cifar(path)
    assert labels.tolist() == [3]
    assert images.shape == (1, 3, 32, 32)
    assert images[0, 0, :8].flatten().tolist() == list(range(256))
    path.write_bytes(lzma.compress(b"too short"))
    with pytest.raises(ValueError, match="is not whole images"):
        read_cifar(path)
    with pytest.raises(Absent, match=r"there is no .*absent"):
        read_cifar(tmp_path / "absent")


def test_digits_are_embedded():
    digits = tasks(None)[0]
    assert digits.data(0).x.shape == (1797, 1, 8, 8)


def test_reads_cifar(shared_data):
    examples = tasks(shared_data)[1].data(0)
    assert examples.y.bincount().tolist() == [1200] * 10
