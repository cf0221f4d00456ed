#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace uotp {

namespace baseline { extern const Kernels kernels; }
#if defined(UOTP_X86_VARIANTS)
namespace avx2 { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }
#endif

namespace {

const Kernels& choose() {
#if defined(UOTP_X86_VARIANTS)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  const char* forced = std::getenv("UOTP_ISA");
  const auto allowed = [&](const Kernels& kernels) { return !forced || !std::strcmp(forced, kernels.name); };
  if (has_avx512 && allowed(avx512::kernels)) return avx512::kernels;
  if (has_avx2 && allowed(avx2::kernels)) return avx2::kernels;
#endif
  return baseline::kernels;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace uotp
