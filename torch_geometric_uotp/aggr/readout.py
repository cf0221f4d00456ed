r"""What all layers do with their arguments before PyTorch Geometric sees them."""

from typing import Any

from torch import Tensor
from torch.fx import Proxy
from torch_geometric.nn.aggr import Aggregation

from torch_geometric_uotp.arguments import check_features, check_integer
from torch_geometric_uotp.segments import check_sets


class Readout(Aggregation):
    """An aggregation whose arguments are checked before anything is read of them.

    PyTorch Geometric's own call looks for the largest value of ``index``, whatever
    it was given.
    """

    def __call__(
        self,
        x: Tensor | Proxy,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
        **kwargs: Any,
    ) -> Any:
        if isinstance(x, Proxy):
            # A name for a tensor, in a graph of modules that is being drawn.
            return super().__call__(x, index, ptr, dim_size, dim, **kwargs)
        check_features("x", x)
        check_integer("dim", dim)
        check_sets(index, ptr, dim_size, x.device)
        if (
            index is None
            and ptr is None
            and dim_size is None
            and -x.dim() <= dim < x.dim()
        ):
            # Known without a look at values, which traced tensors do not have.
            dim_size = 1 if x.size(dim) > 0 else 0
        return super().__call__(x, index, ptr, dim_size, dim, **kwargs)
