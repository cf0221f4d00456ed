r"""Replacing the readouts of a trained model by layers that start out equal."""

import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import Aggregation, MultiAggregation

from torch_geometric_uotp.converters import CONVERTERS, convert
from torch_geometric_uotp.global_pool import FUNCTIONS, GlobalPool
from torch_geometric_uotp.holder import CoefficientHolder
from torch_geometric_uotp.modes import modes_kept

# A function that was made a module, and how to bring it back.
Restore = dict[Module, Callable[[], None]]


class Place(NamedTuple):
    """Where a pooling module is, and the module whose input it reads."""

    path: str
    parent: Module
    name: str
    module: Module
    reader: Module


def swap_readout(
    model: Module,
    inputs: Any = None,
    channels: int | None = None,
    message_passing: bool = False,
    **kwargs: Any,
) -> dict[str, Module]:
    r"""Replace each pooling in a model, in place, by a UOTP layer that equals it.

    The model computes what it did, and every coefficient of the new layers is a
    parameter that can leave the pooling: a warm start. Poolings are the modules of
    the types in :obj:`~torch_geometric_uotp.converters.CONVERTERS`: PyG's mean,
    sum, max, softmax with its temperatures, attention with its gate, the variance
    preserving sum, power means of a fixed power of 1; ``AdaptiveAvgPool2d(1)`` and
    ``AdaptiveMaxPool2d(1)``. So are those inside of a ``MultiAggregation``, and
    attributes that are ``global_mean_pool``, ``global_max_pool`` or
    ``global_add_pool``. A function that a ``forward`` calls by its own name is out
    of reach; see :class:`~torch_geometric_uotp.GlobalPool`. Modules of other types
    stay.

    Args:
        model (torch.nn.Module): The model.
        inputs (optional): Arguments for one call of the model, in evaluation mode,
            which shows how many channels each pooling reads: a tuple or list of
            them, a dictionary by their names, or the only one (a tensor, a
            ``Data`` object). A pooling that is not called stays, and a warning
            names it: a layer there would have parameters without a gradient.
        channels (int, optional): That number instead, where it is the same for all.
        message_passing (bool): Whether to replace the aggregations inside of
            message passing layers too, instead of readouts alone. Some layers hold
            one that they never call; only ``inputs`` tells. (default: :obj:`False`)
        **kwargs (optional): Further arguments of the new layers, which leave the
            poolings as they are: see
            :func:`~torch_geometric_uotp.converters.convert`.

    Returns:
        The new layers by their path in the model. An optimiser that exists already
        does not know their parameters.

    Raises:
        ValueError: If not one of ``inputs`` and ``channels`` is given, the model
            cannot be called with ``inputs``, there is nothing to replace, or a
            pooling has no equal or reads inputs without channels or of several
            widths (its path is named). The model is as it was then.
    """
    if (inputs is None) == (channels is None):
        raise ValueError("give one of 'inputs' and 'channels'")
    restore = _functions_to_modules(model)
    try:
        places = list(_places_in(model, message_passing))
        if not places:
            raise ValueError(_nothing(model))
        widths = dict.fromkeys(places, channels)
        if channels is None:
            widths = _widths(model, places, inputs)
        layers = _convert(places, widths, kwargs)
        for module, layer in layers.items():
            _match(layer, _tensor(module, model))
        left = [place for place in places if widths[place] is None]
        _report(left, bool(layers), restore)
    except BaseException:
        for back in restore.values():
            back()
        raise
    for place in left:
        restore.get(place.parent, lambda: None)()
    return _replace(model, [place for place in places if place not in left], layers)


def _functions_to_modules(model: Module) -> Restore:
    restore: Restore = {}
    for module in list(model.modules()):
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value in FUNCTIONS:
                pool = GlobalPool(FUNCTIONS[value]).train(module.training)
                _exchange(module, name, pool)
                restore[pool] = partial(_exchange, module, name, value)
    return restore


def _exchange(module: Module, name: str, value: Any) -> None:
    # A function and a module are held in different places.
    delattr(module, name)
    setattr(module, name, value)


def _places_in(model: Module, inside: bool) -> Iterator[Place]:
    if isinstance(model, MultiAggregation):
        return _places(model.aggrs, inside, "aggrs.", model)
    return _places(model, inside)


def _places(
    module: Module, inside: bool, prefix: str = "", reader: Module | None = None
) -> Iterator[Place]:
    for name, child in module._modules.items():
        path = f"{prefix}{name}"
        if child is None or (isinstance(child, MessagePassing) and not inside):
            continue
        if type(child) in CONVERTERS:
            yield Place(path, module, name, child, reader or child)
        elif isinstance(child, MultiAggregation):
            # It may compute its members fused, without calling them.
            yield from _places(child.aggrs, inside, f"{path}.aggrs.", reader or child)
        else:
            yield from _places(child, inside, f"{path}.")


def _nothing(model: Module) -> str:
    others = {type(m).__name__ for m in model.modules() if isinstance(m, Aggregation)}
    known = ", ".join(sorted(kind.__name__ for kind in CONVERTERS))
    return (
        f"'model' must hold a pooling that a layer can equal, one of {known}, or a "
        f"pooling function as an attribute (got {', '.join(sorted(others)) or 'none'})"
    )


def _report(left: Sequence[Place], others: bool, restore: Restore) -> None:
    """Name the poolings that stay, since nothing called them."""
    if not left:
        return
    # Where a function was, its module is of no concern to the caller.
    names = [
        place.path.rpartition(".")[0] if place.parent in restore else place.path
        for place in left
    ]
    text = f"{', '.join(map(repr, names))} {'was' if len(names) == 1 else 'were'} "
    if not others:
        raise ValueError(f"{text}not called with 'inputs'; give 'channels'")
    warnings.warn(f"{text}not called with 'inputs', and left alone", stacklevel=3)


@torch.no_grad()
def _widths(
    model: Module, places: Sequence[Place], inputs: Any
) -> dict[Place, int | None]:
    """The channels that each pooling reads in one call of the model, if any."""
    shapes: dict[Module, list[torch.Size]] = defaultdict(list)

    def watch(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = inspect.signature(module.forward).bind(*args, **kwargs)
        shapes[module].append(next(iter(given.arguments.values())).shape)

    hooks = [
        reader.register_forward_pre_hook(watch, with_kwargs=True)
        for reader in {place.reader for place in places}
    ]
    try:
        with modes_kept(model):
            _call(model.eval(), inputs)
    finally:
        for hook in hooks:
            hook.remove()
    seen: dict[Module, set[int]] = defaultdict(set)
    for place in places:
        for shape in shapes[place.reader]:
            seen[place.module].add(_channels(place, shape))
    return {place: _width(place, seen[place.module]) for place in places}


def _call(model: Module, inputs: Any) -> None:
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    if isinstance(inputs, Mapping):
        kwargs = inputs
    else:
        args = inputs if isinstance(inputs, tuple | list) else (inputs,)
    kinds = [type(value).__name__ for value in args]
    kinds += [f"{name}={type(value).__name__}" for name, value in kwargs.items()]
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ValueError(
            "'inputs' must be what one call of the model takes, "
            f"({', '.join(signature.parameters)}): {error} (got {', '.join(kinds)})"
        ) from error
    try:
        model(*args, **kwargs)
    except Exception as error:
        error.add_note(f"'inputs' called the model with ({', '.join(kinds)})")
        raise


def _channels(place: Place, shape: torch.Size) -> int:
    axis = CONVERTERS[type(place.module)].channel_axis
    # Nodes and their channels, at least.
    if len(shape) < max(2, -axis):
        raise ValueError(
            f"'{place.path}' must read nodes with channels (got an input of shape "
            f"{tuple(shape)})"
        )
    return shape[axis]


def _width(place: Place, seen: set[int]) -> int | None:
    if len(seen) > 1:
        raise ValueError(
            f"'{place.path}' must read one number of channels (got "
            f"{' and '.join(map(str, sorted(seen)))}): give each its own pooling"
        )
    return next(iter(seen), None)


def _convert(
    places: Sequence[Place],
    widths: Mapping[Place, int | None],
    kwargs: Mapping[str, Any],
) -> dict[Module, Module]:
    layers: dict[Module, Module] = {}
    for place in places:
        channels = widths[place]
        if channels is None or place.module in layers:
            continue
        with modes_kept(place.module):
            try:
                layer = convert(place.module, channels, **kwargs)
            except ValueError as error:
                raise ValueError(f"'{place.path}': {error}") from error
            layers[place.module] = layer.train(place.module.training)
    return layers


def _tensor(*modules: Module) -> Tensor:
    """A parameter or buffer of the first of the modules that has any."""
    tensors = chain(*((*m.parameters(), *m.buffers()) for m in modules))
    return next(tensors, torch.empty(0))


def _match(layer: Module, tensor: Tensor) -> None:
    """Bring a layer to where a tensor is, with coefficients as exact as it may be."""
    layer.to(tensor.device)
    if tensor.dtype == torch.float64:
        for module in layer.modules():
            if isinstance(module, CoefficientHolder):
                module.double().reset_parameters()


def _replace(
    model: Module, places: Sequence[Place], layers: Mapping[Module, Module]
) -> dict[str, Module]:
    for place in places:
        place.parent.register_module(place.name, layers[place.module])
    for module in model.modules():
        if isinstance(module, MultiAggregation):
            _plan_fusion(module)
        if isinstance(module, MessagePassing) and module.aggr_module in layers.values():
            module.fuse = False
    return {place.path: layers[place.module] for place in places}


def _plan_fusion(module: MultiAggregation) -> None:
    """Say again which members are computed together."""
    fresh = MultiAggregation(list(module.aggrs))
    module.fused_aggr = fresh.fused_aggr
    module.fused_out_index = fresh.fused_out_index
    module.is_fused_aggr = fresh.is_fused_aggr
