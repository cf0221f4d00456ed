// What the operators of all solvers are called with, checked, as views for the kernels; and their results' memory.
#pragma once
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "kernels.h"
#include "presence.h"
#include "tables.h"

namespace uotp {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Optional = std::optional<Tensor>;

inline void run_on_torch_threads(int64_t count, int64_t grain, void (*task)(void*, int64_t, int64_t), void* context) {
  torch::stable::parallel_for(0, count, grain, [=](int64_t begin, int64_t end) { task(context, begin, end); });
}

inline Parallel torch_threads() { return {run_on_torch_threads, int64_t(torch::stable::get_num_threads())}; }

inline const void* data(const Optional& tensor) { return tensor ? tensor->const_data_ptr() : nullptr; }
template <class P> P* data(const Tensor& tensor) { return static_cast<P*>(tensor.mutable_data_ptr()); }

inline int32_t code(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Double: return aoti_torch_dtype_float64();
    case ScalarType::BFloat16: return aoti_torch_dtype_bfloat16();
    case ScalarType::Half: return aoti_torch_dtype_float16();
    case ScalarType::Long: return aoti_torch_dtype_int64();
    case ScalarType::Bool: return aoti_torch_dtype_bool();
    default: return aoti_torch_dtype_float32();
  }
}

// The gradient of a large bag is fresh memory, and a page fault every 4 KiB takes as long as the arithmetic. Linux has larger pages for
// who asks; below this size allocators hand out memory they have used before.
inline void ask_for_huge_pages(const Tensor& tensor) {
#if defined(__linux__)
  constexpr uintptr_t page = uintptr_t(1) << 21, least = 32 * page;
  const auto start = reinterpret_cast<uintptr_t>(tensor.mutable_data_ptr()), end = start + uintptr_t(tensor.numel()) * tensor.element_size();
  const uintptr_t first = (start + page - 1) / page * page, last = end / page * page;
  if (last >= first + least) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// torch::stable::new_empty goes through the dispatcher, by name: a handful of such calls costs more than a small batch.
inline Tensor allocate(const std::vector<int64_t>& sizes, ScalarType dtype) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  AtenTensorHandle handle;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(int64_t(sizes.size()), sizes.data(), strides.data(), code(dtype), aoti_torch_device_type_cpu(), 0, &handle));
  const Tensor tensor(handle);
  ask_for_huge_pages(tensor);
  return tensor;
}

inline Tensor allocate_like(const Tensor& tensor) {
  std::vector<int64_t> sizes;
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) sizes.push_back(tensor.size(axis));
  return allocate(sizes, tensor.scalar_type());
}

inline void fill_with_zeros(const Tensor& tensor) {
  const size_t bytes = size_t(tensor.numel()) * size_t(tensor.element_size());
  if (bytes) std::memset(tensor.mutable_data_ptr(), 0, bytes);  // an empty tensor is at null, which memset does not take
}

inline void check_tensor(const Tensor& tensor, const char* name, ScalarType dtype) {
  STD_TORCH_CHECK(tensor.is_cpu() && tensor.is_contiguous(), name, " must be a contiguous CPU tensor");
  STD_TORCH_CHECK(tensor.scalar_type() == dtype, name, " has another dtype than it needs");
}

inline void check_sizes(const Tensor& tensor, const char* name, const std::vector<int64_t>& sizes) {
  bool same = tensor.dim() == int64_t(sizes.size());
  for (size_t i = 0; same && i < sizes.size(); ++i) same = tensor.size(i) == sizes[i];
  STD_TORCH_CHECK(same, name, " has another shape than it needs");
}

// Offsets and places are followed blindly by the kernels.
inline void check_layout(const Tensor& ptr, const Optional& order, int64_t nodes) {
  check_tensor(ptr, "ptr", ScalarType::Long);
  const auto* at = static_cast<const int64_t*>(ptr.const_data_ptr());
  const int64_t sets = ptr.numel() - 1;
  bool valid = sets >= 0 && at[0] == 0 && at[sets] == nodes;
  for (int64_t set = 0; valid && set < sets; ++set) valid = at[set] <= at[set + 1];
  STD_TORCH_CHECK(valid, "ptr must start at 0, end at the number of nodes (", nodes, ") and never fall");
  if (!order) return;
  check_tensor(*order, "order", ScalarType::Long);
  check_sizes(*order, "order", {nodes});
  const auto* place = static_cast<const int64_t*>(order->const_data_ptr());
  std::vector<bool> seen(nodes);
  for (int64_t n = 0; valid && n < nodes; ++n) {
    valid = place[n] >= 0 && place[n] < nodes && !seen[place[n]];
    if (valid) seen[place[n]] = true;
  }
  STD_TORCH_CHECK(valid, "order must name nodes in [0, ", nodes, "), each once");
}

// Null if every node is in its place, which spares the kernels a look-up.
inline const int64_t* places(const Optional& order) {
  const auto* place = static_cast<const int64_t*>(data(order));
  if (!place) return nullptr;
  for (int64_t n = 0, nodes = order->numel(); n < nodes; ++n)
    if (place[n] != n) return place;
  return nullptr;
}

constexpr int64_t kMostSteps = int64_t(1) << 31;

struct Arguments {
  const Tensor& scores;
  const Optional& values;
  const Tensor& ptr;
  const Optional& order;
  const Tensor &t, &r_p, &r_q;
  const Optional &log_p0, &log_q0;
  int64_t steps;
  Projection projection;

  int64_t nodes() const { return scores.size(0); }
  int64_t heads() const { return scores.size(1); }
  int64_t width() const { return scores.size(2); }
  int64_t sets() const { return ptr.numel() - 1; }
  ScalarType compute() const { return scores.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float; }
  Tensor empty(const std::vector<int64_t>& sizes) const { return allocate(sizes, compute()); }
  Tensor zeros(const std::vector<int64_t>& sizes) const {
    const Tensor tensor = empty(sizes);
    fill_with_zeros(tensor);
    return tensor;
  }

  void check() const {
    check_tensor(scores, "x", scores.scalar_type());
    STD_TORCH_CHECK(scores.dim() == 3 && heads() > 0 && width() > 0, "x must be [N, heads, channels], with a head and a channel at least");
    STD_TORCH_CHECK(steps > 0 && steps < kMostSteps, "num_steps must be positive and below ", kMostSteps, " (got ", steps, ")");
    if (values) check_tensor(*values, "values", scores.scalar_type()), check_sizes(*values, "values", {nodes(), heads(), width()});
    check_layout(ptr, order, nodes());
    check_coefficient(t, "t"), check_coefficient(r_p, "r_p"), check_coefficient(r_q, "r_q");
    if (log_p0) check_tensor(*log_p0, "log_p0", compute()), check_sizes(*log_p0, "log_p0", {heads(), width()});
    if (log_q0) check_tensor(*log_q0, "log_q0", compute()), check_sizes(*log_q0, "log_q0", {nodes(), heads()});
  }

  // [rows, heads], or [rows, sets, heads] where every set has its own.
  void check_coefficient(const Tensor& tensor, const char* name) const {
    check_tensor(tensor, name, compute());
    const bool valid = (tensor.dim() == 2 || (tensor.dim() == 3 && tensor.size(1) == sets())) && tensor.size(0) >= 1 &&
                       tensor.size(0) <= steps && tensor.size(tensor.dim() - 1) == heads();
    STD_TORCH_CHECK(valid, name, " must be [rows, ", heads(), "] or [rows, ", sets(), ", ", heads(), "] with 1 to ", steps, " rows");
  }

  void check_computed(const Tensor& tensor, const char* name, const std::vector<int64_t>& sizes) const {
    check_tensor(tensor, name, compute()), check_sizes(tensor, name, sizes);
  }

  template <class S, class T> Batch<S, T> batch(const Presence<T>& presence) const {
    return {static_cast<const S*>(scores.const_data_ptr()), static_cast<const S*>(data(values)),
            static_cast<const int64_t*>(ptr.const_data_ptr()), places(order),
            sets(), heads(), width(), steps,
            static_cast<const T*>(data(log_p0)), static_cast<const T*>(data(log_q0)), presence.ptr(), presence.order()};
  }

  template <class T> Table<T> table(const Tensor& given, Kind kind) const { return {given, kind, projection, sets()}; }
};

// f(table of the kernels for this dtype, a value of the stored and of the computed type)
template <class F> void for_dtype(const Tensor& scores, F f) {
  switch (scores.scalar_type()) {
    case ScalarType::Float: return f(kernels().float32, float{}, float{});
    case ScalarType::Double: return f(kernels().float64, double{}, double{});
    case ScalarType::BFloat16: return f(kernels().bfloat, bfloat16{}, float{});
    case ScalarType::Half: return f(kernels().half, float16{}, float{});
    default: STD_TORCH_CHECK(false, "x must be float64, float32, bfloat16 or float16");
  }
}

// Sums [sets, length] over the sets, in their order and in double precision.
template <class T> Tensor over_sets(const Tensor& each, int64_t sets, int64_t length, Tensor total) {
  for (int64_t i = 0; i < length; ++i) data<T>(total)[i] = sum_over_sets(data<T>(each) + i, sets, length);
  return total;
}

// The tables that all solvers have, and the nodes that are not left out.
template <class T> struct Tables {
  Table<T> t, r_p, r_q;
  Presence<T> presence;
  explicit Tables(const Arguments& a)
      : t(a.table<T>(a.t, Kind::odds)), r_p(a.table<T>(a.r_p, Kind::share)), r_q(a.table<T>(a.r_q, Kind::share)),
        presence(static_cast<const T*>(data(a.log_q0)), static_cast<const int64_t*>(a.ptr.const_data_ptr()), static_cast<const int64_t*>(data(a.order)), a.sets(), a.heads()) {}
};

// What a backward pass returns for them and for scores, values and priors; without a tensor, an empty gradient.
struct Gradients {
  const Arguments& of;
  Tensor x, values, t, r_p, r_q, log_p0, log_q0;

  explicit Gradients(const Arguments& a)
      : of(a), x(allocate_like(a.scores)), values(a.values ? allocate_like(a.scores) : a.empty({0})), t(allocate_like(a.t)), r_p(allocate_like(a.r_p)),
        r_q(allocate_like(a.r_q)), log_p0(a.log_p0 ? a.zeros({a.sets(), a.heads(), a.width()}) : a.empty({0})),
        log_q0(a.log_q0 ? a.zeros({a.nodes(), a.heads()}) : a.empty({0})) {}

  // Nodes that are left out have no gradient, and no kernel comes to their rows.
  template <class T> void clear_left_out(const Presence<T>& presence) const {
    if (!presence.ptr()) return;
    fill_with_zeros(x);
    if (of.values) fill_with_zeros(values);
  }

  template <class S> S* of_values() const { return of.values ? data<S>(values) : nullptr; }
  template <class T> T* of_log_p0() const { return of.log_p0 ? data<T>(log_p0) : nullptr; }
  template <class T> T* of_log_q0() const { return of.log_q0 ? data<T>(log_q0) : nullptr; }

  // The kernels leave log p0's of every set.
  template <class T> void add_up_log_p0() {
    if (of.log_p0) log_p0 = over_sets<T>(log_p0, of.sets(), of.heads() * of.width(), of.empty({of.heads(), of.width()}));
  }
};

}  // namespace uotp
