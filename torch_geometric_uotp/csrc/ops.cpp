// The kernels as torch operators, through LibTorch's stable ABI: one library serves every torch from 2.10 on.
// Fake kernels and autograd are in ops.py; shapes are those of problem.h.
#include <string>
#include <tuple>
#include <vector>

#include "arguments.h"
#include "badmm_ops.h"
#include "fixed_point_ops.h"

namespace uotp {
namespace {

template <class S, class T> Sinkhorn<S, T> sinkhorn(const Arguments& a, const Tables<T>& of) {
  return {a.batch<S, T>(of.presence), of.t.view(), of.r_p.view(), of.r_q.view(), a.t.size(0) == 1};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> sinkhorn_forward(
    const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p, const Tensor& r_q,
    const Optional& log_p0, const Optional& log_q0, int64_t num_steps, double gain, double ceiling) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, num_steps, {gain, ceiling}};
  arguments.check();
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  Tensor pooled = arguments.empty({sets, heads, width}), bias = arguments.empty({x.size(0), heads});
  Tensor log_sums = arguments.empty({num_steps, sets, heads, width}), centre = arguments.empty({sets, heads});
  for_dtype(x, [&](const auto& table, auto stored, auto computed) {
    using S = decltype(stored);
    using T = decltype(computed);
    const Tables<T> of(arguments);
    if (of.presence.ptr()) fill_with_zeros(bias);
    const SinkhornForward<S, T> out{data<T>(pooled), data<T>(log_sums), data<T>(bias), data<T>(centre)};
    table.sinkhorn_forward(sinkhorn<S>(arguments, of), out, torch_threads());
  });
  return {pooled, bias, log_sums, centre};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> sinkhorn_backward(
    const Tensor& grad, const Tensor& x, const Optional& values, const Tensor& ptr, const Optional& order, const Tensor& t, const Tensor& r_p,
    const Tensor& r_q, const Optional& log_p0, const Optional& log_q0, int64_t num_steps, double gain, double ceiling, const Tensor& pooled,
    const Tensor& log_sums, const Tensor& centre) {
  const Arguments arguments{x, values, ptr, order, t, r_p, r_q, log_p0, log_q0, num_steps, {gain, ceiling}};
  arguments.check();
  const int64_t sets = arguments.sets(), heads = arguments.heads(), width = arguments.width();
  arguments.check_computed(grad, "grad", {sets, heads, width}), arguments.check_computed(pooled, "pooled", {sets, heads, width});
  arguments.check_computed(log_sums, "log_sums", {num_steps, sets, heads, width}), arguments.check_computed(centre, "centre", {sets, heads});
  Gradients d(arguments);
  for_dtype(x, [&](const auto& table, auto stored, auto computed) {
    using S = decltype(stored);
    using T = decltype(computed);
    const Tables<T> of(arguments);
    d.clear_left_out(of.presence);
    Adjoint<T> of_t(of.t), of_r_p(of.r_p), of_r_q(of.r_q);
    const SinkhornBackward<S, T> io{data<T>(pooled), data<T>(log_sums), data<T>(centre), data<T>(grad), data<S>(d.x), d.of_values<S>(),
                                    of_t.each(), of_r_p.each(), of_r_q.each(), d.of_log_p0<T>(), d.of_log_q0<T>()};
    table.sinkhorn_backward(sinkhorn<S>(arguments, of), io, torch_threads());
    of_t.write(d.t), of_r_p.write(d.r_p), of_r_q.write(d.r_q);
    d.add_up_log_p0<T>();
  });
  return {d.x, d.values, d.t, d.r_p, d.r_q, d.log_p0, d.log_q0};
}

constexpr int64_t kMostSets = int64_t(1) << 48;

// The layout of nodes in any order: ptr, and order, the node at each place of the batch sorted by set (stable).
std::tuple<Tensor, Tensor> layout(const Tensor& index, int64_t num_sets) {
  check_tensor(index, "index", ScalarType::Long);
  const int64_t nodes = index.numel();
  STD_TORCH_CHECK(num_sets >= 0 && num_sets < kMostSets, "num_sets must lie in [0, ", kMostSets, ") (got ", num_sets, ")");
  const auto* set = static_cast<const int64_t*>(index.const_data_ptr());
  Tensor ptr = allocate({num_sets + 1}, ScalarType::Long), order = allocate({nodes}, ScalarType::Long);
  int64_t *start = data<int64_t>(ptr), *place = data<int64_t>(order);
  std::fill(start, start + num_sets + 1, 0);
  for (int64_t n = 0; n < nodes; ++n) {
    STD_TORCH_CHECK(set[n] >= 0 && set[n] < num_sets, "index must lie in [0, ", num_sets, ")");
    ++start[set[n] + 1];
  }
  for (int64_t g = 0; g < num_sets; ++g) start[g + 1] += start[g];
  std::vector<int64_t> next(start, start + num_sets);
  for (int64_t n = 0; n < nodes; ++n) place[next[set[n]]++] = n;
  return {ptr, order};
}

std::string instruction_set() { return kernels().name; }
bool switch_instruction_set(std::string name) { return use_instruction_set(name); }
std::string switch_kernels(std::string library) { return use_kernels_of(library); }
std::string sources() { return UOTP_SOURCES; }

}  // namespace
}  // namespace uotp

STABLE_TORCH_LIBRARY(uotp, library) {
  library.def(
      "sinkhorn_forward(Tensor x, Tensor? values, Tensor ptr, Tensor? order, Tensor t, Tensor r_p, Tensor r_q, Tensor? log_p0, Tensor? log_q0, "
      "int num_steps, float gain, float ceiling) -> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "sinkhorn_backward(Tensor grad, Tensor x, Tensor? values, Tensor ptr, Tensor? order, Tensor t, Tensor r_p, Tensor r_q, Tensor? log_p0, "
      "Tensor? log_q0, int num_steps, float gain, float ceiling, Tensor pooled, Tensor log_sums, Tensor centre) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "badmm_forward(Tensor x, Tensor? values, Tensor ptr, Tensor? order, Tensor t, Tensor r_p, Tensor r_q, Tensor rho, Tensor? log_p0, Tensor? log_q0, "
      "int num_steps, float gain, float ceiling, bool quadratic) -> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "badmm_backward(Tensor grad, Tensor x, Tensor? values, Tensor ptr, Tensor? order, Tensor t, Tensor r_p, Tensor r_q, Tensor rho, Tensor? log_p0, "
      "Tensor? log_q0, int num_steps, float gain, float ceiling, bool quadratic, Tensor pooled, Tensor channel_log_sums, Tensor node_log_sums, Tensor masses) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "fixed_point_forward(Tensor x, Tensor? values, Tensor ptr, Tensor? order, Tensor t, Tensor r_p, Tensor r_q, Tensor? log_p0, Tensor? log_q0, "
      "float tol, int max_steps) -> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "fixed_point_backward(Tensor grad, Tensor x, Tensor? values, Tensor ptr, Tensor? order, Tensor t, Tensor r_p, Tensor r_q, Tensor? log_p0, "
      "Tensor? log_q0, float tol, int max_steps, Tensor pooled, Tensor bias) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  library.def("layout(Tensor index, SymInt num_sets) -> (Tensor, Tensor)");
  library.def("instruction_set() -> str");
  library.def("instruction_sets() -> str");
  library.def("use_instruction_set(str name) -> bool");
  library.def("use_kernels_of(str library) -> str");
  library.def("sources() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(uotp, CPU, library) {
  library.impl("sinkhorn_forward", TORCH_BOX(&uotp::sinkhorn_forward));
  library.impl("badmm_forward", TORCH_BOX(&uotp::badmm_forward));
  library.impl("badmm_backward", TORCH_BOX(&uotp::badmm_backward));
  library.impl("fixed_point_forward", TORCH_BOX(&uotp::fixed_point_forward));
  library.impl("fixed_point_backward", TORCH_BOX(&uotp::fixed_point_backward));
  library.impl("layout", TORCH_BOX(&uotp::layout));
  library.impl("sinkhorn_backward", TORCH_BOX(&uotp::sinkhorn_backward));
}

STABLE_TORCH_LIBRARY_IMPL(uotp, CompositeExplicitAutograd, library) {
  library.impl("instruction_set", TORCH_BOX(&uotp::instruction_set));
  library.impl("instruction_sets", TORCH_BOX(&uotp::instruction_sets));
  library.impl("use_instruction_set", TORCH_BOX(&uotp::switch_instruction_set));
  library.impl("use_kernels_of", TORCH_BOX(&uotp::switch_kernels));
  library.impl("sources", TORCH_BOX(&uotp::sources));
}
