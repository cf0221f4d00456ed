// The kernels' exponentials, logarithm and half formats over arrays, and two rates of the processor: what tests hold
// to references and the speed benchmark takes for the machine's limit. Compiled once per instruction set.
#include "../torch_geometric_uotp/csrc/exp_log.h"

namespace uotp {
namespace UOTP_ISA {

// to = f(from), `repeats` times over: arrays that fit in a cache stay there.
template <class T, class From, class To, class F> inline void map(const From* from, To* to, int64_t count, int64_t repeats, F f) {
  for (int64_t repeat = 0; repeat < repeats; ++repeat) {
    for (int64_t i = 0; i < count; i += W<T>) {
      const int lanes = count - i < W<T> ? int(count - i) : W<T>;
      store(to + i, f(load(from + i, lanes)), lanes);
    }
    asm volatile("" ::: "memory");  // each repeat is done, though the next overwrites it
  }
}

// The multiply-add of the kernels' products, one factor from the cache: of independent sums, so that none waits for another.
template <class T> inline void multiply_add(const T* from, T* to, int64_t count, int64_t repeats) {
  constexpr int sums = 8;
  Vec<T> total[sums] = {};
  const Vec<T> factor = load(from);
  for (int64_t repeat = 0; repeat < repeats; ++repeat) {
    for (int64_t i = 0; i + sums * W<T> <= count; i += sums * W<T>)
      for (int sum = 0; sum < sums; ++sum) total[sum] += load(from + i + sum * W<T>) * factor;
    asm volatile("" ::: "memory");
  }
  for (int sum = 1; sum < sums; ++sum) total[0] += total[sum];
  store(to, total[0]);
}

#define UOTP_JOIN_(isa, name) isa##_##name
#define UOTP_JOIN(isa, name) UOTP_JOIN_(isa, name)
#define UOTP_EXPORT(name, From, To) \
  extern "C" __attribute__((visibility("default"))) void UOTP_JOIN(UOTP_ISA, name)(const From* from, To* to, int64_t count, int64_t repeats)
#define UOTP_MAP(name, T, f) \
  UOTP_EXPORT(name, T, T) { map<T>(from, to, count, repeats, [](Vec<T> x) { return f<T>(x); }); }
#define UOTP_CONVERT(name, From, To) \
  UOTP_EXPORT(name, From, To) { map<float>(from, to, count, repeats, [](Vec<float> x) { return x; }); }

UOTP_MAP(exp_float32, float, exp)
UOTP_MAP(exp_float64, double, exp)
UOTP_MAP(log_float32, float, log)
UOTP_MAP(log_float64, double, log)
UOTP_MAP(exp2_bounded_float32, float, exp2_bounded)
UOTP_MAP(exp2_bounded_float64, double, exp2_bounded)
UOTP_MAP(exp2_down_float32, float, exp2_down)
UOTP_MAP(exp2_down_float64, double, exp2_down)
UOTP_CONVERT(load_bfloat16, bfloat16, float)
UOTP_CONVERT(load_float16, float16, float)
UOTP_CONVERT(store_bfloat16, float, bfloat16)
UOTP_CONVERT(store_float16, float, float16)
UOTP_EXPORT(multiply_add_float32, float, float) { multiply_add(from, to, count, repeats); }

}  // namespace UOTP_ISA
}  // namespace uotp
