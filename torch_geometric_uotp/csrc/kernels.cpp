// Compiled once per instruction set, with -DUOTP_ISA=<its name> and the compiler's flags for it.
#include "badmm.h"
#include "fixed_point.h"
#include "kernels.h"
#include "sinkhorn.h"

namespace uotp {
namespace UOTP_ISA {

template <class S, class T> constexpr SolverTable<S, T> table{sinkhorn_forward<S, T>, sinkhorn_backward<S, T>, badmm_forward<S, T>, badmm_backward<S, T>};

// Names are those of the namespaces, with hyphens for what is not an instruction set of its own.
#if defined(UOTP_LOWERED_AVX512)
#define UOTP_NAME(isa) "avx512-lowered"
#else
#define UOTP_NAME_(isa) #isa
#define UOTP_NAME(isa) UOTP_NAME_(isa)
#endif
extern const Kernels kernels{UOTP_NAME(UOTP_ISA), table<float, float>, table<double, double>, table<bfloat16, float>, table<float16, float>,
                             {fixed_point_forward<double>, fixed_point_backward<double>}};

}  // namespace UOTP_ISA
}  // namespace uotp

#if defined(UOTP_LOWERED_AVX512)
// For use_kernels_of (kernels.h): these kernels are a library of their own, for tests.
extern "C" __attribute__((visibility("default"))) const uotp::Kernels* uotp_kernels() { return &uotp::UOTP_ISA::kernels; }
#endif
