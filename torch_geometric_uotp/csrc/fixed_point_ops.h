// The fixed point's operators, in double precision.
#pragma once
#include <tuple>

#include "arguments.h"

namespace uotp {

inline FixedPoint<double> fixed_point(const Arguments& a, const Tables<double>& of, double tol, int64_t max_steps) {
  return {a.batch<double, double>(of.presence), of.t.view(), of.r_p.view(), of.r_q.view(), tol, max_steps};
}

inline void check_fixed_point(const Arguments& arguments, double tol, int64_t max_steps) {
  check_tensor(arguments.scores, "x", ScalarType::Double);
  arguments.check();
  STD_TORCH_CHECK(tol > 0 && max_steps > 0, "tol and max_steps must be positive");
}

inline std::tuple<Tensor, Tensor, Tensor, Tensor> fixed_point_forward(
    const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p, const Tensor& r_q,
    const Optional& log_p0, const Optional& log_q0, double tol, int64_t max_steps) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, 1, {0, 0}};
  check_fixed_point(arguments, tol, max_steps);
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  Tensor pooled = arguments.empty({sets, heads, width}), bias = arguments.empty({x.size(0), heads});
  Tensor solved = allocate({sets, heads}, ScalarType::Bool), steps = allocate({sets, heads}, ScalarType::Long);
  const Tables<double> tables(arguments);
  if (tables.presence.ptr()) fill_with_zeros(bias);
  const FixedPointForward<double> out{data<double>(pooled), data<double>(bias), data<bool>(solved), data<int64_t>(steps)};
  kernels().fixed_point.forward(fixed_point(arguments, tables, tol, max_steps), out, torch_threads());
  return {pooled, bias, solved, steps};
}

inline std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> fixed_point_backward(
    const Tensor& grad, const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p,
    const Tensor& r_q, const Optional& log_p0, const Optional& log_q0, double tol, int64_t max_steps, const Tensor& pooled, const Tensor& bias) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, 1, {0, 0}};
  check_fixed_point(arguments, tol, max_steps);
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  arguments.check_computed(grad, "grad", {sets, heads, width}), arguments.check_computed(pooled, "pooled", {sets, heads, width});
  arguments.check_computed(bias, "bias", {x.size(0), heads});
  Gradients d(arguments);
  const Tables<double> tables(arguments);
  d.clear_left_out(tables.presence);
  Adjoint<double> of_t(tables.t), of_r_p(tables.r_p), of_r_q(tables.r_q);
  const FixedPointBackward<double> io{data<double>(pooled), data<double>(bias), data<double>(grad), data<double>(d.x), d.of_values<double>(),
                                      of_t.each(), of_r_p.each(), of_r_q.each(), d.of_log_p0<double>(), d.of_log_q0<double>()};
  kernels().fixed_point.backward(fixed_point(arguments, tables, tol, max_steps), io, torch_threads());
  of_t.write(d.t), of_r_p.write(d.r_p), of_r_q.write(d.r_q);
  d.add_up_log_p0<double>();
  return {d.x, d.values, d.t, d.r_p, d.r_q, d.log_p0, d.log_q0};
}

}  // namespace uotp
