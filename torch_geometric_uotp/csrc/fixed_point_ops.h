// The fixed point's operators, in double precision.
#pragma once
#include <tuple>

#include "arguments.h"

namespace uotp {

struct FixedPointTables {
  Table<double> t, r_p, r_q;
  explicit FixedPointTables(const Arguments& a) : t(a.table<double>(a.t, Kind::odds)), r_p(a.table<double>(a.r_p, Kind::share)), r_q(a.table<double>(a.r_q, Kind::share)) {}
  FixedPoint<double> problem(const Arguments& a, double tol, int64_t max_steps) const {
    return {a.batch<double, double>(), t.view(), r_p.view(), r_q.view(), tol, max_steps};
  }
};

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
  const FixedPointTables tables(arguments);
  const FixedPointForward<double> out{data<double>(pooled), data<double>(bias), data<bool>(solved), data<int64_t>(steps)};
  kernels().fixed_point.forward(tables.problem(arguments, tol, max_steps), out, torch_threads());
  return {pooled, bias, solved, steps};
}

inline std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> fixed_point_backward(
    const Tensor& grad, const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p,
    const Tensor& r_q, const Optional& log_p0, const Optional& log_q0, double tol, int64_t max_steps, const Tensor& pooled, const Tensor& bias) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, 1, {0, 0}};
  check_fixed_point(arguments, tol, max_steps);
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  check_tensor(grad, "grad", ScalarType::Double), check_sizes(grad, "grad", {sets, heads, width});
  check_tensor(pooled, "pooled", ScalarType::Double), check_sizes(pooled, "pooled", {sets, heads, width});
  check_tensor(bias, "bias", ScalarType::Double), check_sizes(bias, "bias", {x.size(0), heads});
  Tensor d_x = allocate_like(x), d_values = values ? allocate_like(x) : arguments.empty({0});
  Tensor d_t = allocate_like(t), d_r_p = allocate_like(r_p), d_r_q = allocate_like(r_q);
  Tensor d_log_p0 = log_p0 ? arguments.zeros({sets, heads, width}) : arguments.empty({0});
  Tensor d_log_q0 = log_q0 ? arguments.zeros({x.size(0), heads}) : arguments.empty({0});
  const FixedPointTables tables(arguments);
  Adjoint<double> of_t(tables.t), of_r_p(tables.r_p), of_r_q(tables.r_q);
  const FixedPointBackward<double> io{data<double>(pooled), data<double>(bias), data<double>(grad), data<double>(d_x), values ? data<double>(d_values) : nullptr,
                                      of_t.each(), of_r_p.each(), of_r_q.each(), log_p0 ? data<double>(d_log_p0) : nullptr, log_q0 ? data<double>(d_log_q0) : nullptr};
  kernels().fixed_point.backward(tables.problem(arguments, tol, max_steps), io, torch_threads());
  of_t.write(d_t), of_r_p.write(d_r_p), of_r_q.write(d_r_q);
  if (log_p0) d_log_p0 = over_sets<double>(d_log_p0, sets, heads * width, arguments.empty({heads, width}));
  return {d_x, d_values, d_t, d_r_p, d_r_q, d_log_p0, d_log_q0};
}

}  // namespace uotp
