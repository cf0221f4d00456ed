// Sinkhorn on a batch: every set and head in scaling form, in the log domain where the exponents ask for it.
#pragma once
#include "sinkhorn_backward.h"
#include "sinkhorn_forward.h"
#include "sinkhorn_log.h"

namespace uotp {
namespace UOTP_ISA {

// An empty set pools to exactly 0.
template <class S, class T> void clear(const Sinkhorn<S, T>& problem, const SinkhornForward<S, T>& out, const Rows<S, T>& rows) {
  out.centre[rows.set * rows.heads() + rows.head] = 0;
  for (int64_t column = 0; column < rows.width; ++column) {
    rows.of_set(out.pooled)[column] = 0;
    for (int64_t step = 0; step < problem.batch.steps; ++step)
      rows.of_set(out.log_sums + step * problem.batch.sets * rows.stride)[column] = -Format<T>::infinity;
  }
}

template <class S, class T> void sinkhorn_forward(const Sinkhorn<S, T>& problem, const SinkhornForward<S, T>& out, const Parallel& parallel) {
  for_sets(problem.batch, parallel, [&](const Rows<S, T>& rows, const Parallel* inside) {
    if (!rows.count) clear(problem, out, rows);
    else if (!SinkhornForwardSet<S, T>(problem, out, rows, inside).solve()) SinkhornLogForwardSet<S, T>(problem, out, rows, inside).solve();
  });
}

template <class S, class T> void sinkhorn_backward(const Sinkhorn<S, T>& problem, const SinkhornBackward<S, T>& io, const Parallel& parallel) {
  for_sets(problem.batch, parallel, [&](const Rows<S, T>& rows, const Parallel* inside) {
    const T centre = io.centre[rows.set * rows.heads() + rows.head];
    if (!rows.count) return;
    if (centre == centre) SinkhornBackwardSet<S, T>(problem, io, rows, inside).solve();
    else SinkhornLogBackwardSet<S, T>(problem, io, rows, inside).solve();
  });
}

}  // namespace UOTP_ISA
}  // namespace uotp
