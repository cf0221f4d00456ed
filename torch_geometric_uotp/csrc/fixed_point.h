// Sinkhorn's fixed point on a batch: every set and head until its own residual is small, and its adjoint.
#pragma once
#include "fixed_point_backward.h"
#include "fixed_point_forward.h"

namespace uotp {
namespace UOTP_ISA {

// No node, or one: nothing to solve, and the mean of one node is that node, to the last bit.
template <class T> void settle(const FixedPoint<T>& problem, const FixedPointForward<T>& out, const Rows<T, T>& rows) {
  const int64_t at = rows.set * rows.heads() + rows.head;
  out.solved[at] = true, out.steps[at] = 0;
  const T* values = problem.batch.values ? problem.batch.values : problem.batch.scores;
  if (rows.count) out.bias[rows.node(0) * rows.heads() + rows.head] = 0;
  for (int64_t column = 0; column < rows.width; ++column) rows.of_set(out.pooled)[column] = rows.count ? rows.row(values, 0)[column] : T(0);
}

template <class T> void fixed_point_forward(const FixedPoint<T>& problem, const FixedPointForward<T>& out, const Parallel& parallel) {
  for_sets(problem.batch, parallel, [&](const Rows<T, T>& rows, const Parallel* inside) {
    if (rows.count < 2) settle(problem, out, rows);
    else FixedPointForwardSet<T>(problem, out, rows, inside).solve();
  });
}

template <class T> void fixed_point_backward(const FixedPoint<T>& problem, const FixedPointBackward<T>& io, const Parallel& parallel) {
  for_sets(problem.batch, parallel, [&](const Rows<T, T>& rows, const Parallel* inside) {
    if (rows.count) FixedPointBackwardSet<T>(problem, io, rows, inside).solve();
  });
}

}  // namespace UOTP_ISA
}  // namespace uotp
