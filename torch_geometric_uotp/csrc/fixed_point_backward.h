// The adjoint of a fixed point b = T(b) from b alone: whatever steps led to it, nothing of them is needed (solvers/implicit.py).
// With v_nd = e^{t x_nd + b_n - LSE_n} and a bar (here `d_`) for adjoints,
//
//   (5)  g_n = sum_d d_f_d v_nd (x_nd - f_d)                        what reaches b directly
//   (6)  S w = U^T g,  d_b_n = g_n + r_p r_q q_n (U w)_n            and through all steps, as a geometric series
//   (7)  d_a_d = -r_q sum_n d_b_n u_nd                              then one step's adjoint
//   (8)  h_nd = -r_q d_b_n u_nd - r_p d_a_d v_nd + d_f_d v_nd (x_nd - f_d),  d_x_nd = t h_nd + d_f_d v_nd
#pragma once
#include "fixed_point_forward.h"

namespace uotp {
namespace UOTP_ISA {

template <class T> class FixedPointBackwardSet {
 public:
  FixedPointBackwardSet(const FixedPoint<T>& problem, const FixedPointBackward<T>& io, const Rows<T, T>& rows, const Parallel* parallel)
      : problem_(problem), io_(io), rows_(rows), parallel_(parallel), set_(problem.batch, rows, parallel),
        weights_(FixedPointForwardSet<T>::weights_of(problem, rows)) {
    T* memory = nullptr;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      set_.take(carver);
      sums_ = carver.take(rows.padded), grad_ = carver.take(rows.padded), mean_ = carver.take(rows.padded), right_ = carver.take(rows.padded);
      d_a_ = carver.take(rows.padded), d_b_ = carver.take(round_up(rows.count, W<T>)), part_ = carver.take(rows.chunks() * 2 * W<T>);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
  }

  void solve() {
    recall();
    for_blocks_of_set([&](int64_t, const Block<T, T>& block) {
      for (int i = 0; i < block.count; ++i) d_b_[block.first + i] = direct(block, i);
    });
    set_.to_channels(d_b_, right_);
    const T accuracy = problem_.tol / 10 > T(1e-14) ? problem_.tol / 10 : T(1e-14);
    set_.solve(right_, d_a_, accuracy, problem_.max_steps);
    const T rate = weights_.rate();
    set_.to_nodes(d_a_, [&](int64_t n, T sum) { d_b_[n] += rate * set_.q[n] * sum; });
    set_.to_channels(d_b_, d_a_);
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(d_a_ + at, -weights_.r_q * load(d_a_ + at));
    write_channels();
    write_nodes();
  }

 private:
  template <class F> void for_blocks_of_set(F f) const {
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) { f(chunk, block); });
    });
  }

  const T* values() const { return problem_.batch.values ? problem_.batch.values : problem_.batch.scores; }

  void recall() {
    set_.recall(weights_, io_.bias);
    fill(grad_, rows_.width, [&](int64_t at, int lanes) { return load(rows_.of_set(io_.grad) + at, lanes); });
    fill(mean_, rows_.width, [&](int64_t at, int lanes) { return load(rows_.of_set(io_.pooled) + at, lanes); });
    set_.weigh([&](int64_t at, int lanes, const LogColumns<T>& sum) {
      store(sums_ + at, sum.most + log<T>(sum.mass));
      const Vec<T> a = weights_.r_p * (channel_prior(problem_.batch, rows_, at, lanes) - load(sums_ + at));
      store(set_.a + at, first<T>(lanes) ? a : Vec<T>{});
    });
    set_.form(weights_, true);
  }

  UOTP_INLINE Vec<T> v(const Block<T, T>& block, int i, int64_t at, int lanes) const {
    const Vec<T> value = exp<T>(set_.exponent(block, i, at, lanes, set_.b[block.first + i]) - load(sums_ + at));
    return first<T>(lanes) ? value : Vec<T>{};
  }

  UOTP_INLINE Vec<T> off_mean(const Block<T, T>& block, int i, int64_t at, int lanes) const { return load(block.row(values(), i) + at, lanes) - load(mean_ + at); }

  // (5)
  T direct(const Block<T, T>& block, int i) const {
    Vec<T> total{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) { total += load(grad_ + at) * v(block, i, at, lanes) * off_mean(block, i, at, lanes); });
    return sum<T>(total);
  }

  void write_channels() const {
    Vec<T> d_r_p{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> d_a = load(d_a_ + at), slack = channel_prior(problem_.batch, rows_, at, lanes) - load(sums_ + at);
      d_r_p += first<T>(lanes) ? d_a * slack : Vec<T>{};
      if (io_.d_log_p0) store(rows_.of_set(io_.d_log_p0) + at, weights_.r_p * d_a, lanes);
    });
    io_.d_r_p.at(0, rows_.set, rows_.head) = sum<T>(d_r_p);
  }

  // (8), and the coefficients' adjoints.
  void write_nodes() const {
    for (int64_t at = 0; at < rows_.chunks() * 2 * W<T>; at += W<T>) store(part_ + at, Vec<T>{});
    for_blocks_of_set([&](int64_t chunk, const Block<T, T>& block) {
      const T* u = set_.formed(block);
      T* part = part_ + chunk * 2 * W<T>;
      Vec<T> d_t = load(part);
      PerNode<T> log_q0;
      node_prior(problem_.batch, block, log_q0);
      for (int i = 0; i < block.count; ++i) {
        const int64_t n = block.first + i;
        part[W<T>] += d_b_[n] * (log_q0[i] - set_.log_sum[n]);
        if (io_.d_log_q0) io_.d_log_q0[block.node(i)] = weights_.r_q * d_b_[n];
        for_columns<T>(rows_.width, [&](int64_t at, int lanes) { d_t += write(block, u + i * rows_.padded, i, at, lanes); });
      }
      store(part, d_t);
    });
    T d_t = 0, d_r_q = 0;
    for (int64_t chunk = 0; chunk < rows_.chunks(); ++chunk) d_t += sum<T>(load(part_ + chunk * 2 * W<T>)), d_r_q += part_[chunk * 2 * W<T> + W<T>];
    io_.d_t.at(0, rows_.set, rows_.head) = d_t, io_.d_r_q.at(0, rows_.set, rows_.head) = d_r_q;
  }

  UOTP_INLINE Vec<T> write(const Block<T, T>& block, const T* u, int i, int64_t at, int lanes) const {
    const Vec<T> weight = v(block, i, at, lanes), d_value = load(grad_ + at) * weight;
    const Vec<T> h = -weights_.r_q * d_b_[block.first + i] * load(u + at) - weights_.r_p * load(d_a_ + at) * weight + d_value * off_mean(block, i, at, lanes);
    store(block.row(io_.d_scores, i) + at, io_.d_values ? weights_.t * h : weights_.t * h + d_value, lanes);
    if (io_.d_values) store(block.row(io_.d_values, i) + at, d_value, lanes);
    return h * load(block.row(problem_.batch.scores, i) + at, lanes);
  }

  const FixedPoint<T>& problem_;
  const FixedPointBackward<T>& io_;
  const Rows<T, T>& rows_;
  const Parallel* parallel_;
  FixedPointSet<T> set_;
  const Weights<T> weights_;
  T *sums_, *grad_, *mean_, *right_, *d_a_, *d_b_, *part_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
