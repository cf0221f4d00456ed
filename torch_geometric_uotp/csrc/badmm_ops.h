// BADMM's operators.
#pragma once
#include <tuple>

#include "arguments.h"

namespace uotp {

// The tables of a call, as the kernels take them.
template <class T> struct BadmmTables {
  Table<T> t, r_p, r_q, rho;
  BadmmTables(const Arguments& a, const Tensor& rho)
      : t(a.table<T>(a.t, Kind::odds)), r_p(a.table<T>(a.r_p, Kind::share)), r_q(a.table<T>(a.r_q, Kind::share)), rho(a.table<T>(rho, Kind::penalty)) {}
  template <class S> Badmm<S, T> badmm(const Arguments& a, bool quadratic) const {
    return {a.batch<S, T>(), t.view(), r_p.view(), r_q.view(), rho.view(), quadratic};
  }
};

inline std::tuple<Tensor, Tensor, Tensor, Tensor> badmm_forward(
    const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p, const Tensor& r_q,
    const Tensor& rho, const Optional& log_p0, const Optional& log_q0, int64_t num_steps, double gain, double ceiling, bool quadratic) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, num_steps, {gain, ceiling}};
  arguments.check(), arguments.check_coefficient(rho, "rho");
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  Tensor pooled = arguments.empty({sets, heads, width}), channel_log_sums = arguments.empty({num_steps + 1, sets, heads, width});
  Tensor node_log_sums = arguments.empty({num_steps - 1, x.size(0), heads}), masses = arguments.empty({num_steps - 1, sets, heads});
  for_dtype(x, [&](const auto& table, auto stored, auto computed) {
    using S = decltype(stored);
    using T = decltype(computed);
    const BadmmTables<T> of(arguments, rho);
    const BadmmForward<S, T> out{data<T>(pooled), data<T>(channel_log_sums), data<T>(node_log_sums), data<T>(masses)};
    table.badmm_forward(of.template badmm<S>(arguments, quadratic), out, torch_threads());
  });
  return {pooled, channel_log_sums, node_log_sums, masses};
}

inline std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> badmm_backward(
    const Tensor& grad, const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p,
    const Tensor& r_q, const Tensor& rho, const Optional& log_p0, const Optional& log_q0, int64_t num_steps, double gain, double ceiling, bool quadratic,
    const Tensor& pooled, const Tensor& channel_log_sums, const Tensor& node_log_sums, const Tensor& masses) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, num_steps, {gain, ceiling}};
  arguments.check(), arguments.check_coefficient(rho, "rho");
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  const auto check = [&](const Tensor& tensor, const char* name, const std::vector<int64_t>& sizes) {
    check_tensor(tensor, name, arguments.compute()), check_sizes(tensor, name, sizes);
  };
  check(grad, "grad", {sets, heads, width}), check(pooled, "pooled", {sets, heads, width});
  check(channel_log_sums, "channel_log_sums", {num_steps + 1, sets, heads, width});
  check(node_log_sums, "node_log_sums", {num_steps - 1, x.size(0), heads}), check(masses, "masses", {num_steps - 1, sets, heads});
  Tensor d_x = allocate_like(x), d_values = values ? allocate_like(x) : arguments.empty({0});
  Tensor d_t = allocate_like(t), d_r_p = allocate_like(r_p), d_r_q = allocate_like(r_q), d_rho = allocate_like(rho);
  Tensor d_log_p0 = log_p0 ? arguments.zeros({sets, heads, width}) : arguments.empty({0});
  Tensor d_log_q0 = log_q0 ? arguments.zeros({x.size(0), heads}) : arguments.empty({0});
  for_dtype(x, [&](const auto& table, auto stored, auto computed) {
    using S = decltype(stored);
    using T = decltype(computed);
    const BadmmTables<T> of(arguments, rho);
    Adjoint<T> of_t(of.t), of_r_p(of.r_p), of_r_q(of.r_q), of_rho(of.rho);
    const BadmmBackward<S, T> io{{data<T>(pooled), data<T>(channel_log_sums), data<T>(node_log_sums), data<T>(masses)}, data<T>(grad), data<S>(d_x),
                                 values ? data<S>(d_values) : nullptr, of_t.each(), of_r_p.each(), of_r_q.each(), of_rho.each(),
                                 log_p0 ? data<T>(d_log_p0) : nullptr, log_q0 ? data<T>(d_log_q0) : nullptr};
    table.badmm_backward(of.template badmm<S>(arguments, quadratic), io, torch_threads());
    of_t.write(d_t), of_r_p.write(d_r_p), of_r_q.write(d_r_q), of_rho.write(d_rho);
    if (log_p0) d_log_p0 = over_sets<T>(d_log_p0, sets, heads * width, arguments.empty({heads, width}));
  });
  return {d_x, d_values, d_t, d_r_p, d_r_q, d_rho, d_log_p0, d_log_q0};
}

}  // namespace uotp
