// Sinkhorn at t = infinity: the same recursion over (max, +) on the scores themselves, log-priors counting nothing beside them.
//
//   b_n = -r_q max_d (x_nd + a_d),   a_d = -r_p max_n (x_nd + b_n),   f_d = mean of x_nd over the nodes that attain max_n (x_nd + b_n)
//
// The weights are locally constant: only the values have a gradient.
#pragma once
#include "sinkhorn_forward.h"

namespace uotp {
namespace UOTP_ISA {

template <class S, class T> bool is_max(const Sinkhorn<S, T>& problem, const Rows<S, T>& rows) {
  return problem.t.at(0, rows.set, rows.head) == Format<T>::infinity;
}

template <class S, class T> class SinkhornMaxSet {
 public:
  SinkhornMaxSet(const Sinkhorn<S, T>& problem, const Rows<S, T>& rows) : problem_(problem), rows_(rows) {
    T* memory = set_scratch().template at_least<T>(3 * rows.padded);
    most_ = memory, ties_ = memory + rows.padded, total_ = memory + 2 * rows.padded;
  }

  void forward(const SinkhornForward<S, T>& out) {
    out.centre[rows_.set * rows_.heads() + rows_.head] = T(__builtin_nan(""));
    for (int64_t step = 0; step < problem_.batch.steps; ++step) {
      for_nodes(step, at(out.log_sums, step - 1), [&](int64_t n, int64_t column, Vec<T> y, int) {
        store(most_ + column, n ? maximum<T>(load(most_ + column), y) : y);
      }, out.bias);
      for_columns<T>(rows_.width, [&](int64_t column, int lanes) { store(at(out.log_sums, step) + column, load(most_ + column), lanes); });
    }
    count_ties(out);
    for_columns<T>(rows_.width, [&](int64_t column, int lanes) {
      store(rows_.of_set(out.pooled) + column, load(total_ + column) / load(ties_ + column), lanes);
    });
  }

  void backward(const SinkhornBackward<S, T>& io) {
    const SinkhornForward<S, T> saved{nullptr, const_cast<T*>(io.log_sums), nullptr, nullptr};
    count_ties(saved);
    each_last(saved, [&](int64_t n, int64_t column, Vec<T> y, int lanes) {
      const Vec<T> share = load(rows_.of_set(io.grad) + column, lanes) / load(ties_ + column);
      const Vec<T> gradient = y == load(at(io.log_sums, problem_.batch.steps - 1) + column, lanes) ? share : Vec<T>{};
      store(rows_.row(io.d_values ? io.d_values : io.d_scores, n) + column, gradient, lanes);
      if (io.d_values) store(rows_.row(io.d_scores, n) + column, Vec<T>{}, lanes);
    });
  }

 private:
  template <class P> P* at(P* log_sums, int64_t step) const {
    return step < 0 ? nullptr : rows_.of_set(log_sums + step * problem_.batch.sets * rows_.stride);
  }

  // f(node, column, x + b, lanes) with b of a step, from the maxima of the step before.
  template <class F> void for_nodes(int64_t step, const T* previous, F f, T* bias) {
    const T r_p = step ? problem_.r_p.at(step - 1, rows_.set, rows_.head) : T(0), r_q = problem_.r_q.at(step, rows_.set, rows_.head);
    for (int64_t n = 0; n < rows_.count; ++n) {
      const S* x = rows_.row(problem_.batch.scores, n);
      Vec<T> row = splat(-Format<T>::infinity);
      for_columns<T>(rows_.width, [&](int64_t column, int lanes) {
        const Vec<T> y = load(x + column, lanes) - (previous ? r_p * load(previous + column, lanes) : Vec<T>{});
        row = maximum<T>(row, first<T>(lanes) ? y : row);
      });
      const T b = -r_q * largest<T>(row);
      if (bias) bias[rows_.node(n) * rows_.heads() + rows_.head] = b;
      for_columns<T>(rows_.width, [&](int64_t column, int lanes) { f(n, column, load(x + column, lanes) + b, lanes); });
    }
  }

  template <class F> void each_last(const SinkhornForward<S, T>& saved, F f) {
    const int64_t last = problem_.batch.steps - 1;
    for_nodes(last, at(saved.log_sums, last - 1), f, nullptr);
  }

  void count_ties(const SinkhornForward<S, T>& saved) {
    const S* values = problem_.batch.values ? problem_.batch.values : problem_.batch.scores;
    const T* most = at(saved.log_sums, problem_.batch.steps - 1);
    for (int64_t column = 0; column < rows_.padded; column += W<T>) store(ties_ + column, Vec<T>{}), store(total_ + column, Vec<T>{});
    each_last(saved, [&](int64_t n, int64_t column, Vec<T> y, int lanes) {
      const auto attained = y == load(most + column, lanes);
      const Vec<T> value = load(rows_.row(values, n) + column, lanes);
      store(ties_ + column, load(ties_ + column) + (attained ? splat(T(1)) : Vec<T>{}));
      store(total_ + column, load(total_ + column) + (attained ? value : Vec<T>{}));
    });
  }

  const Sinkhorn<S, T>& problem_;
  const Rows<S, T>& rows_;
  T *most_, *ties_, *total_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
