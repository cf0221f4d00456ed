// Exponentials and logarithm of a machine vector, within 2 units in the last place.
//
// What each gives at the extremes is the same on every instruction set (tests/native/test_exp_log.py):
//
//              -infinity  below the normals      0 and denormals         +infinity  NaN
//   exp        0          rounded to denormals   1                       +infinity  NaN
//   log        NaN        NaN (below 0)          -infinity, its log      +infinity  NaN
//   exp2_down  0          0                      1                       -          NaN     for arguments up to 1
//   exp2_bounded is for arguments whose result is a normal number, and gives any number beyond.
//
// Polynomials: minimax in the relative error (Remez), 2^r on [-1/2, 1/2] and (log m - 2 s) / s^3 in s^2 with
// s = (m - 1) / (m + 1) and m in [sqrt(1/2), sqrt(2)].
#pragma once
#include "avx512.h"
#include "vec.h"

namespace uotp {
namespace UOTP_ISA {

template <class T> struct Format;

template <> struct Format<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float shifter = 0x1.8p23f, log2e = 0x1.715476p0f, ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr float infinity = __builtin_inff(), smallest_normal = 0x1p-126f, largest = 0x1.fffffep127f;
  static constexpr float exp2[] = {1.0000000005540969739f, 0.69314720573688924727f, 0.24022646891266945521f, 0.055503287773925754677f,
                                   0.0096184888817394558112f, 0.0013399931136418935676f, 0.00015345832656188889723f};
  static constexpr float log[] = {0.66666666554081387921f, 0.40000122095630364388f, 0.2855079757903601577f, 0.23330994273929333146f};
  // Exponents the scaling form takes: e^(+-range/2) and sums of their products stay normal numbers (sinkhorn.h).
  static constexpr float range = 120, smallest_sum = 1e-30f, largest_sum = 1e30f;
  // Of the weights it multiplies with: from e^faint on products keep their places, and from e^gone down they add nothing to any sum.
  static constexpr float faint = -69, gone = -150;
};

template <> struct Format<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double shifter = 0x1.8p52, log2e = 0x1.71547652b82fep0, ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
  static constexpr double infinity = __builtin_inf(), smallest_normal = 0x1p-1022, largest = 0x1.fffffffffffffp1023;
  static constexpr double exp2[] = {0.9999999999999999971, 0.69314718055994533047, 0.24022650695910156198, 0.055504108664819920829,
                                    0.0096181291075883375878, 0.0013333558146790119134, 0.00015403530462511438904, 0.000015252733489787996875,
                                    1.321543309117148398e-6, 1.0178198108777556482e-7, 7.0741053598010983954e-9, 4.4352692144885519186e-10};
  static constexpr double log[] = {0.66666666666666666464, 0.40000000000000880131, 0.2857142857080190099, 0.22222222392062044663,
                                   0.181817956063937768, 0.15386241381801308441, 0.13268731698664086605, 0.13087028029571503876};
  static constexpr double range = 1200, smallest_sum = 1e-280, largest_sum = 1e280;
  static constexpr double faint = -644, gone = -1300;
};

template <class T, int N> UOTP_INLINE Vec<T> polynomial(const T (&coefficient)[N], Vec<T> at) {
  Vec<T> value = splat(coefficient[N - 1]);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) value = value * at + coefficient[i];
  return value;
}

// 2^y for |y| within the range of normal exponents, any number beyond: the only exponential of the inner loops.
template <class T> UOTP_INLINE Vec<T> exp2_bounded(Vec<T> y) {
  using F = Format<T>;
  const Vec<T> shifted = y + F::shifter;  // the nearest integer, in the low bits of the mantissa
  const Vec<T> power = polynomial(F::exp2, y - (shifted - F::shifter));
  return bit_cast<Vec<T>>(bit_cast<WrappingBits<T>>(power) + (bit_cast<WrappingBits<T>>(shifted) << F::mantissa));
}

// value * 2^n, rounded to denormal numbers too. Two factors: one alone would not reach from the largest number to 0.
template <class T> UOTP_INLINE Vec<T> times_power_of_two(Vec<T> value, Vec<T> n) {
#if defined(UOTP_AVX512)
  return scale(value, n);
#else
  using F = Format<T>;
  const WrappingBits<T> sum = bit_cast<WrappingBits<T>>(n + (F::shifter + 2 * F::bias)) - bit_cast<WrappingBits<T>>(splat(F::shifter)), half = sum >> 1;
  return value * bit_cast<Vec<T>>(half << F::mantissa) * bit_cast<Vec<T>>((sum - half) << F::mantissa);
#endif
}

// 2^y for y up to 1; exactly 0 where that is no normal number, -infinity included.
template <class T> UOTP_INLINE Vec<T> exp2_down(Vec<T> y) {
  const Vec<T> least = splat(T(1 - Format<T>::bias));
#if defined(UOTP_AVX512)
  // As exp2_bounded, but that the last instruction takes NaN, which is not below the least.
  const Vec<T> whole = nearest_whole(y);
  return scale_from(y, least, polynomial(Format<T>::exp2, y - whole), whole);
#else
  return y >= least ? exp2_bounded<T>(y) : maximum<T>(Vec<T>{}, y);  // the second of the two for NaN
#endif
}

// e^x for every x: denormal results, overflow, infinities and NaN included.
template <class T> UOTP_INLINE Vec<T> exp(Vec<T> x) {
  using F = Format<T>;
  constexpr T limit = T(1.3) * F::bias;  // beyond it every result is 0 or infinity, and two factors of 2^n can still say so
  const Vec<T> bounded = maximum<T>(splat(-limit), minimum<T>(splat(limit), x));  // second, NaN stays
  const Vec<T> whole = (bounded * F::log2e + F::shifter) - F::shifter, rest = (bounded - whole * F::ln2_high) - whole * F::ln2_low;
  return times_power_of_two<T>(polynomial(F::exp2, rest * F::log2e), whole);
}

// log x for every x: -inf at 0, NaN below, denormal arguments included.
template <class T> UOTP_INLINE Vec<T> log(Vec<T> x) {
  using F = Format<T>;
  constexpr T scale = T(int64_t(1) << F::mantissa);
  const auto tiny = x < F::smallest_normal;
  const WrappingBits<T> one = bit_cast<WrappingBits<T>>(splat(T(1))), root = bit_cast<WrappingBits<T>>(splat(T(0.70710678118654752440)));
  const WrappingBits<T> shift = bit_cast<WrappingBits<T>>(splat(F::shifter));
  // x = m 2^e with m from root on; e + bias is what stands in the exponent's place once it starts there.
  const WrappingBits<T> bits = bit_cast<WrappingBits<T>>(tiny ? x * scale : x) + (one - root), exponent = bits >> F::mantissa;
  const Vec<T> m = bit_cast<Vec<T>>((bits & (bit_cast<WrappingBits<T>>(splat(F::smallest_normal)) - 1)) + root);
  const Vec<T> e = bit_cast<Vec<T>>(exponent + shift) - (tiny ? splat(F::shifter + F::bias + F::mantissa) : splat(F::shifter + F::bias));
  const Vec<T> f = m - T(1), s = f / (f + T(2)), z = s * s;
  // log m = f - s (f - z q): the leading term is exact, only a correction is rounded (2 s = f - s f).
  const Vec<T> value = e * F::ln2_high + (f - (s * (f - z * polynomial(F::log, z)) - e * F::ln2_low));
  const Vec<T> limit = x == Vec<T>{} ? splat(-F::infinity) : splat(T(__builtin_nan("")));
  return x > Vec<T>{} ? (x < F::infinity ? value : x) : limit;
}

}  // namespace UOTP_ISA
}  // namespace uotp
