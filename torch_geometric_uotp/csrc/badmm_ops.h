// BADMM's operators.
#pragma once
#include <tuple>

#include "arguments.h"

namespace uotp {

template <class T> struct BadmmTables : Tables<T> {
  Table<T> rho;
  BadmmTables(const Arguments& a, const Tensor& rho) : Tables<T>(a), rho(a.table<T>(rho, Kind::penalty)) {}
  template <class S> Badmm<S, T> badmm(const Arguments& a, bool quadratic) const {
    return {a.batch<S, T>(this->presence), this->t.view(), this->r_p.view(), this->r_q.view(), rho.view(), quadratic};
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
    if (of.presence.ptr()) fill_with_zeros(node_log_sums);
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
  arguments.check_computed(grad, "grad", {sets, heads, width}), arguments.check_computed(pooled, "pooled", {sets, heads, width});
  arguments.check_computed(channel_log_sums, "channel_log_sums", {num_steps + 1, sets, heads, width});
  arguments.check_computed(node_log_sums, "node_log_sums", {num_steps - 1, x.size(0), heads});
  arguments.check_computed(masses, "masses", {num_steps - 1, sets, heads});
  Gradients d(arguments);
  Tensor d_rho = allocate_like(rho);
  for_dtype(x, [&](const auto& table, auto stored, auto computed) {
    using S = decltype(stored);
    using T = decltype(computed);
    const BadmmTables<T> of(arguments, rho);
    d.clear_left_out(of.presence);
    Adjoint<T> of_t(of.t), of_r_p(of.r_p), of_r_q(of.r_q), of_rho(of.rho);
    const BadmmBackward<S, T> io{{data<T>(pooled), data<T>(channel_log_sums), data<T>(node_log_sums), data<T>(masses)}, data<T>(grad), data<S>(d.x),
                                 d.of_values<S>(), of_t.each(), of_r_p.each(), of_r_q.each(), of_rho.each(), d.of_log_p0<T>(), d.of_log_q0<T>()};
    table.badmm_backward(of.template badmm<S>(arguments, quadratic), io, torch_threads());
    of_t.write(d.t), of_r_p.write(d.r_p), of_r_q.write(d.r_q), of_rho.write(d_rho);
    d.add_up_log_p0<T>();
  });
  return {d.x, d.values, d.t, d.r_p, d.r_q, d_rho, d.log_p0, d.log_q0};
}

}  // namespace uotp
