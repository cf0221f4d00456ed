r"""Residual networks."""

import pytest
import torch
from torch import Tensor
from torch.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Linear, Module, Sequential


class Block(Module):
    """A residual block that halves the resolution and doubles the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = Sequential(
            Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            BatchNorm2d(2 * channels),
        )
        self.skip = Conv2d(channels, 2 * channels, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) + self.skip(x)).relu()


class ResNet(Module):
    """A ResNet in the manner of torchvision: ``avgpool``, flatten, ``fc``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Sequential(Conv2d(3, 8, 3, padding=1), Block(8), Block(16))
        self.avgpool: Module = AdaptiveAvgPool2d(1)
        self.fc = Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


def torchvision_resnet() -> Module:
    try:
        from torchvision.models import resnet18
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs torchvision, built for this torch: {error}")
    return resnet18()
