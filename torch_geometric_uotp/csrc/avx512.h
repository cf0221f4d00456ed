// The AVX-512 instructions that are not plain vector arithmetic, once as intrinsics and once lowered to lanes.
//
// With -DUOTP_LOWERED_AVX512 the compiler needs no AVX-512: the code for vectors of 64 bytes can then be tested on machines
// that lack the instructions. The lowered functions follow Intel's description of VSCALEF and VRNDSCALE.
#pragma once
#include "vec.h"

#if defined(UOTP_AVX512)

namespace uotp {
namespace UOTP_ISA {

#if defined(UOTP_LOWERED_AVX512)

// a * 2^b for a whole number b: one lane of VSCALEF.
inline double scaled_lane(double a, double b) {
  const bool undefined = (__builtin_isinf(b) && b > 0 && a == 0) || (__builtin_isinf(b) && b < 0 && __builtin_isinf(a));
  if (undefined || b != b) return __builtin_nan("");
  return __builtin_ldexp(a, int(b > 5000 ? 5000 : b < -5000 ? -5000 : b));
}

// value * 2^n for whole numbers n of any size, rounded once; 0 where `at` is below `least`.
template <class V> inline V scale_from(V at, V least, V value, V n) {
  V scaled{};
  for (size_t lane = 0; lane < sizeof(V) / sizeof(value[0]); ++lane) scaled[lane] = at[lane] < least[lane] ? 0 : scaled_lane(value[lane], n[lane]);
  return scaled;
}

// The same without a limit.
template <class V> inline V scale(V value, V n) {
  V scaled{};
  for (size_t lane = 0; lane < sizeof(V) / sizeof(value[0]); ++lane) scaled[lane] = scaled_lane(value[lane], n[lane]);
  return scaled;
}

// The nearest whole number, ties to even; NaN and infinities stay.
template <class V> inline V nearest_whole(V value) {
  V whole{};
  for (size_t lane = 0; lane < sizeof(V) / sizeof(value[0]); ++lane) whole[lane] = __builtin_rint(value[lane]);
  return whole;
}

#else

// Masked forms with every lane set: GCC 12 warns of an uninitialised operand in the plain ones.
inline Vec<float> scale_from(Vec<float> at, Vec<float> least, Vec<float> value, Vec<float> n) {
  return (Vec<float>)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)at, (__m512)least, _CMP_NLT_UQ), (__m512)value, (__m512)n);
}
inline Vec<double> scale_from(Vec<double> at, Vec<double> least, Vec<double> value, Vec<double> n) {
  return (Vec<double>)_mm512_maskz_scalef_pd(_mm512_cmp_pd_mask((__m512d)at, (__m512d)least, _CMP_NLT_UQ), (__m512d)value, (__m512d)n);
}

inline Vec<float> scale(Vec<float> value, Vec<float> n) { return (Vec<float>)_mm512_maskz_scalef_ps(-1, (__m512)value, (__m512)n); }
inline Vec<double> scale(Vec<double> value, Vec<double> n) { return (Vec<double>)_mm512_maskz_scalef_pd(-1, (__m512d)value, (__m512d)n); }

inline Vec<float> nearest_whole(Vec<float> value) { return (Vec<float>)_mm512_maskz_roundscale_ps(-1, (__m512)value, 0); }
inline Vec<double> nearest_whole(Vec<double> value) { return (Vec<double>)_mm512_maskz_roundscale_pd(-1, (__m512d)value, 0); }

#endif

}  // namespace UOTP_ISA
}  // namespace uotp

#endif
