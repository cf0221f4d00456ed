r"""The coefficients of the transport problem, in the form the solvers use."""

import math
from dataclasses import dataclass, replace

from torch import Tensor

from torch_geometric_uotp.arguments import table_of
from torch_geometric_uotp.projection import Projection


@dataclass(frozen=True)
class Coefficients:
    r"""Coefficients per unrolled step (K, or 1 shared by all) and head (H).

    With :math:`\alpha_0, \alpha_1, \alpha_2` the weights of the regulariser,
    of the channel prior and of the node prior, the solvers work with

    .. math::
        t = \frac{1}{\alpha_0}, \qquad
        r_p = \frac{\alpha_1}{\alpha_0 + \alpha_1}, \qquad
        r_q = \frac{\alpha_2}{\alpha_0 + \alpha_2},

    in which every conventional pooling is a value that can be reached exactly.

    Args:
        t (torch.Tensor): Inverse temperature, finite, of shape [K or 1, H].
        r_p (torch.Tensor): Fidelity to the channel prior, in [0, 1].
        r_q (torch.Tensor): Fidelity to the node prior, in [0, 1].
        rho (torch.Tensor, optional): The ADMM weight relative to
            :math:`\alpha_0`, positive. (default: :obj:`None`)
        hard (torch.Tensor, optional): The heads, bool of shape [H], in which
            t is infinite. There ``t`` holds the finite value at which the
            gradient of the coefficients is taken. (default: :obj:`None`)
        projection (Projection, optional): Where given, the tables are not the
            coefficients but what a layer stores for them (:meth:`explicit`).
            (default: :obj:`None`)
    """

    t: Tensor
    r_p: Tensor
    r_q: Tensor
    rho: Tensor | None = None
    hard: Tensor | None = None
    projection: Projection | None = None

    @classmethod
    def from_alphas(
        cls,
        alpha0: float | Tensor,
        alpha1: float | Tensor,
        alpha2: float | Tensor,
        rho: float | Tensor | None = None,
    ) -> "Coefficients":
        r"""Convert the paper's coefficients, from 0 to infinity inclusive.

        The tables are copies of what is given, of float64 and on the CPU.

        Args:
            alpha0 (float or torch.Tensor): :math:`\alpha_0`, a number or of
                shape [H] or [K or 1, H]. 0 asks for no regulariser, in all
                steps of a head or in none; beside it any positive weight
                counts as infinite.
            alpha1 (float or torch.Tensor): :math:`\alpha_1`, likewise.
            alpha2 (float or torch.Tensor): :math:`\alpha_2`, likewise.
            rho (float or torch.Tensor, optional): :math:`\rho / \alpha_0`.
                (default: :obj:`None`)

        Raises:
            ValueError: If a coefficient is negative or not a number, if their
                shapes do not go together, or if ``alpha0`` is 0 in some steps of a
                head only.
        """
        alpha0 = _table("alpha0", alpha0)
        alpha1 = _table("alpha1", alpha1)
        alpha2 = _table("alpha2", alpha2)
        _check_shapes(alpha0=alpha0, alpha1=alpha1, alpha2=alpha2)
        hard = alpha0 == 0
        if bool((hard.any(0) != hard.all(0)).any()):
            raise ValueError(
                "'alpha0' must be 0 in all steps of a head or in none (got "
                f"{alpha0.tolist()})"
            )
        return cls(
            t=alpha0.masked_fill(hard, 1).reciprocal(),
            r_p=_fidelity(alpha1, alpha0),
            r_q=_fidelity(alpha2, alpha0),
            rho=None if rho is None else _penalty(rho),
            hard=hard.all(0) if bool(hard.any()) else None,
        )

    def explicit(self) -> "Coefficients":
        """The coefficients themselves, where tables are stored otherwise."""
        if self.projection is None:
            return self
        return Coefficients(*self.projection(self.t, self.r_p, self.r_q, self.rho))

    def copy(self) -> "Coefficients":
        """The same numbers in other tensors, with the same gradients."""
        return replace(
            self,
            t=self.t.clone(),
            r_p=self.r_p.clone(),
            r_q=self.r_q.clone(),
            rho=None if self.rho is None else self.rho.clone(),
        )

    def step(self, k: int) -> "Coefficients":
        """Coefficients of step ``k``, each of shape [H]."""
        return Coefficients(
            t=_row(self.t, k),
            r_p=_row(self.r_p, k),
            r_q=_row(self.r_q, k),
            rho=None if self.rho is None else _row(self.rho, k),
            hard=self.hard,
        )

    def expand_heads(self, heads: int) -> "Coefficients":
        """Give every one of ``heads`` heads a column, where one serves all."""
        if self.t.size(-1) == heads:
            return self
        return self.repeat_heads(heads)

    def repeat_heads(self, times: int) -> "Coefficients":
        """Coefficients of ``times`` copies of the heads, one after another."""
        if times == 1:
            return self
        return Coefficients(
            t=self.t.repeat(1, times),
            r_p=self.r_p.repeat(1, times),
            r_q=self.r_q.repeat(1, times),
            rho=None if self.rho is None else self.rho.repeat(1, times),
            hard=None if self.hard is None else self.hard.repeat(times),
            projection=self.projection,
        )

    def describe(self) -> dict[str, Tensor]:
        """The coefficients in both forms, detached, each [K or 1, H].

        ``alpha0``, ``alpha1``, ``alpha2`` and ``t``, ``r_p``, ``r_q`` (and
        ``rho``). Where t is 0 or infinite, a fidelity strictly between 0 and 1
        is reported as the limit of its alpha: infinity or 0.
        """
        t, r_p, r_q = self.t.detach(), self.r_p.detach(), self.r_q.detach()
        if self.hard is not None:
            t = t.masked_fill(self.hard, math.inf)
        alpha0 = t.reciprocal()
        description = {
            "alpha0": alpha0,
            "alpha1": _weight_of(r_p, alpha0),
            "alpha2": _weight_of(r_q, alpha0),
            "t": t,
            "r_p": r_p,
            "r_q": r_q,
        }
        return (
            description
            if self.rho is None
            else description | {"rho": self.rho.detach()}
        )

    def expand(self, steps: int, heads: int) -> "Coefficients":
        """Repeat single rows and columns to ``steps`` and ``heads``.

        Raises:
            ValueError: If a table has another number of rows or columns.
        """
        return Coefficients(
            t=_expand("alpha0", self.t, steps, heads),
            r_p=_expand("alpha1", self.r_p, steps, heads),
            r_q=_expand("alpha2", self.r_q, steps, heads),
            rho=None if self.rho is None else _expand("rho", self.rho, steps, heads),
            hard=None if self.hard is None else self.hard.expand(heads),
        )


def readable(table: Tensor) -> str:
    """A table as text: one number, if all are the same."""
    if table.is_meta:
        return "meta"
    values = [f"{value:.3g}" for value in table.flatten().tolist()]
    return values[0] if len(set(values)) == 1 else f"[{', '.join(values)}]"


def _row(table: Tensor, k: int) -> Tensor:
    return table[min(k, table.size(0) - 1)]


def _table(name: str, value: float | Tensor) -> Tensor:
    given = table_of(name, value)
    table = given.view((1,) * (2 - given.dim()) + given.shape)
    if table.dim() > 2 or not bool((table >= 0).all()):
        raise ValueError(
            f"'{name}' must be a number, or of shape [heads] or [steps, heads], "
            f"from 0 to infinity (got {value})"
        )
    return table


def _check_shapes(**tables: Tensor) -> None:
    for axis, what in enumerate(("steps", "heads")):
        sizes = {name: table.size(axis) for name, table in tables.items()}
        if len({size for size in sizes.values() if size > 1}) > 1:
            given = ", ".join(f"'{name}': {size}" for name, size in sizes.items())
            raise ValueError(
                f"coefficients must have the same number of {what}, or 1 (got {given})"
            )


def _penalty(rho: float | Tensor) -> Tensor:
    table = _table("rho", rho)
    if not bool(((table > 0) & (table < math.inf)).all()):
        raise ValueError(f"'rho' must be positive and finite (got {rho})")
    return table


def _fidelity(alpha: Tensor, alpha0: Tensor) -> Tensor:
    # By continuity in alpha: no weight ignores the prior, an infinite one
    # imposes it, whatever alpha0 is (its own limits included).
    ratio = alpha / (alpha0 + alpha)
    return ratio.masked_fill(alpha == 0, 0).masked_fill(alpha == math.inf, 1)


def _weight_of(fidelity: Tensor, alpha0: Tensor) -> Tensor:
    # A fidelity may lack the row of the last step, which would have no effect.
    alpha = alpha0[: fidelity.size(0)] * fidelity / (1 - fidelity)
    return alpha.masked_fill(fidelity == 0, 0).masked_fill(fidelity == 1, math.inf)


def _expand(name: str, table: Tensor, steps: int, heads: int) -> Tensor:
    if table.size(0) not in (1, steps) or table.size(1) not in (1, heads):
        raise ValueError(
            f"'{name}' must have {steps} steps and {heads} heads, or 1 (got shape "
            f"{tuple(table.shape)}); a row for each step needs share_steps=False"
        )
    return table.expand(steps, heads)
