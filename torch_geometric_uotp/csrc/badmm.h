// Bregman ADMM on a batch: every set and head.
#pragma once
#include "badmm_backward.h"
#include "badmm_forward.h"

namespace uotp {
namespace UOTP_ISA {

// An empty set pools to exactly 0.
template <class S, class T> void clear(const Badmm<S, T>& problem, const BadmmForward<S, T>& out, const Rows<S, T>& rows) {
  for (int64_t step = 0; step <= problem.batch.steps; ++step)
    for (int64_t column = 0; column < rows.width; ++column) of_step(problem, rows, out.channel_log_sums, step)[column] = 0;
  for (int64_t step = 0; step + 1 < problem.batch.steps; ++step) mass_of(problem, rows, out.masses, step) = 0;
  for (int64_t column = 0; column < rows.width; ++column) rows.of_set(out.pooled)[column] = 0;
}

template <class S, class T, bool quadratic> void badmm_forward(const Badmm<S, T>& problem, const BadmmForward<S, T>& out, const Parallel& parallel) {
  for_sets(problem.batch, parallel, [&](const Rows<S, T>& rows, const Parallel* inside) {
    if (rows.count) BadmmForwardSet<S, T, quadratic>(problem, out, rows, inside).solve();
    else clear(problem, out, rows);
  });
}

template <class S, class T, bool quadratic> void badmm_backward(const Badmm<S, T>& problem, const BadmmBackward<S, T>& io, const Parallel& parallel) {
  for_sets(problem.batch, parallel, [&](const Rows<S, T>& rows, const Parallel* inside) {
    if (rows.count) BadmmBackwardSet<S, T, quadratic>(problem, io, rows, inside).solve();
  });
}

template <class S, class T> void badmm_forward(const Badmm<S, T>& problem, const BadmmForward<S, T>& out, const Parallel& parallel) {
  problem.quadratic ? badmm_forward<S, T, true>(problem, out, parallel) : badmm_forward<S, T, false>(problem, out, parallel);
}

template <class S, class T> void badmm_backward(const Badmm<S, T>& problem, const BadmmBackward<S, T>& io, const Parallel& parallel) {
  problem.quadratic ? badmm_backward<S, T, true>(problem, io, parallel) : badmm_backward<S, T, false>(problem, io, parallel);
}

}  // namespace UOTP_ISA
}  // namespace uotp
