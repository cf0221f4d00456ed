import torch

from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers.schur import SchurComplement


def system(r: float) -> tuple[SchurComplement, list[torch.Tensor]]:
    """A system of three sets and two heads, and its dense matrices."""
    segments = Segments.from_index(torch.tensor([0, 2, 0, 0, 2, 2, 2]), 3)
    u = torch.rand(7, 2, 4, dtype=torch.double)
    u, q = u / u.sum(-1, keepdim=True), torch.rand(7, 2, dtype=torch.double)
    rate = torch.full((3, 2), r, dtype=torch.double)
    dense = []
    for g in range(3):
        nodes = segments.index == g
        for h in range(2):
            plan = q[nodes, h, None] * u[nodes, h]
            inner = plan.T @ u[nodes, h]
            dense.append(torch.diag(plan.sum(0)) - r * inner)
    return SchurComplement(u, q, rate, segments), dense


def test_product_is_that_of_the_dense_matrices() -> None:
    sparse, dense = system(0.9)
    v = torch.randn(3, 2, 4, dtype=torch.double)
    expected = torch.stack(
        [m @ row for m, row in zip(dense, v.view(6, 4), strict=True)]
    )
    torch.testing.assert_close(sparse.times(v).view(6, 4), expected)


def test_solves_each_set_where_wanted() -> None:
    sparse, dense = system(0.9)
    right = torch.randn(3, 2, 4, dtype=torch.double)
    wanted = torch.tensor([[True, False], [False, False], [True, True]])
    accuracy, limit = torch.full((3, 2), 1e-13), torch.full((3, 2), 50)
    found, products = sparse.solve(right, accuracy.double(), limit, wanted)
    for g in (0, 2):
        for h in range(2):
            expected = torch.linalg.solve(dense[2 * g + h], right[g, h])
            if wanted[g, h]:
                torch.testing.assert_close(found[g, h], expected, rtol=1e-9, atol=1e-9)
    assert found[~wanted].eq(0).all()
    assert products[~wanted].eq(0).all()
    assert products[wanted].le(6).all()


def test_stops_at_its_limit() -> None:
    sparse, _ = system(0.9)
    right = torch.randn(3, 2, 4, dtype=torch.double)
    wanted = torch.ones(3, 2, dtype=torch.bool)
    accuracy = torch.zeros(3, 2, dtype=torch.double)
    limit = torch.tensor([[1, 2], [3, 0], [2, 1]])
    assert (sparse.solve(right, accuracy, limit, wanted)[1] <= limit).all()


def test_solves_modulo_constants_where_it_is_singular() -> None:
    sparse, dense = system(1.0)
    right = torch.randn(3, 2, 4, dtype=torch.double)
    right = right - right.mean(-1, keepdim=True)
    wanted = torch.tensor([[True, True], [False, False], [True, True]])
    accuracy, limit = torch.full((3, 2), 1e-13), torch.full((3, 2), 50)
    found, _ = sparse.solve(right, accuracy.double(), limit, wanted)
    for g in (0, 2):
        for h in range(2):
            image = dense[2 * g + h] @ found[g, h]
            torch.testing.assert_close(image, right[g, h], rtol=0, atol=1e-10)
