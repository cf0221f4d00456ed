// One machine vector of T, as wide as the instruction set this file is compiled for allows.
//
// The kernels are compiled once per instruction set (kernels.cpp), each time into a namespace of its own, so that
// the linker cannot merge a function compiled for AVX-512 with its baseline twin.
#pragma once
#include <cstdint>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef UOTP_ISA
#define UOTP_ISA baseline
#endif

// Inlined, so that constants and what a loop adds up stay in registers.
#define UOTP_INLINE inline __attribute__((always_inline))
// The same for all that a function calls.
#define UOTP_FLATTEN __attribute__((flatten))

namespace uotp {

struct bfloat16 { uint16_t bits; };
struct float16 { uint16_t bits; };

namespace UOTP_ISA {

// AVX-512, or the same code with its few instructions lowered to lanes (avx512.h), so that machines without it can test it.
#if defined(__AVX512F__) || defined(UOTP_LOWERED_AVX512)
#define UOTP_AVX512 1
#endif

#if defined(UOTP_AVX512)
constexpr int kBytes = 64;
#define UOTP_X86(instruction) _mm512_##instruction
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#define UOTP_X86(instruction) _mm256_##instruction
#else
constexpr int kBytes = 16;
#define UOTP_X86(instruction) _mm_##instruction
#endif

template <class T> struct Lanes;
template <> struct Lanes<float> {
  typedef float type __attribute__((vector_size(kBytes)));
  typedef int32_t bits __attribute__((vector_size(kBytes)));
  typedef uint32_t wrapping __attribute__((vector_size(kBytes)));
  typedef uint16_t half __attribute__((vector_size(kBytes / 2)));
};
template <> struct Lanes<double> {
  typedef double type __attribute__((vector_size(kBytes)));
  typedef int64_t bits __attribute__((vector_size(kBytes)));
  typedef uint64_t wrapping __attribute__((vector_size(kBytes)));
};

template <class T> using Vec = typename Lanes<T>::type;
template <class T> using Bits = typename Lanes<T>::bits;
template <class T> using WrappingBits = typename Lanes<T>::wrapping;  // for sums that may overflow
template <class T> constexpr int W = kBytes / sizeof(T);

template <class To, class From> inline To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}

template <class T> inline Vec<T> splat(T value) { return value - Vec<T>{}; }
template <class T> inline Vec<T> minimum(Vec<T> a, Vec<T> b) { return a < b ? a : b; }
template <class T> inline Vec<T> maximum(Vec<T> a, Vec<T> b) { return a > b ? a : b; }

// The same, b for NaN included, in one instruction: GCC makes two or four of the selection.
#if defined(__SSE2__) && !defined(UOTP_LOWERED_AVX512)
template <> inline Vec<float> minimum<float>(Vec<float> a, Vec<float> b) { return (Vec<float>)UOTP_X86(min_ps)(a, b); }
template <> inline Vec<float> maximum<float>(Vec<float> a, Vec<float> b) { return (Vec<float>)UOTP_X86(max_ps)(a, b); }
template <> inline Vec<double> minimum<double>(Vec<double> a, Vec<double> b) { return (Vec<double>)UOTP_X86(min_pd)(a, b); }
template <> inline Vec<double> maximum<double>(Vec<double> a, Vec<double> b) { return (Vec<double>)UOTP_X86(max_pd)(a, b); }
#endif

// ---- memory: the first `count` of W elements, zeros behind them

template <class T> inline auto first(int count) {
  Bits<T> lane;
  for (int i = 0; i < W<T>; ++i) lane[i] = i;
  return lane < count;
}

// A vector where only its elements are aligned. Unlike memcpy it aliases nothing but them, which lets loops keep the rest in registers.
template <class V, class S> struct Unaligned { typedef V type __attribute__((aligned(alignof(S)))); };

template <class V, class S> inline V load_whole(const S* from) { return *reinterpret_cast<const typename Unaligned<V, S>::type*>(from); }
template <class V, class S> inline void store_whole(S* to, V vector) { *reinterpret_cast<typename Unaligned<V, S>::type*>(to) = vector; }

template <class V, class S> inline V load_part(const S* from, int count) {
  V vector{};
  for (int lane = 0; lane < count; ++lane) vector[lane] = from[lane];
  return vector;
}

template <class V, class S> inline void store_part(S* to, V vector, int count) {
  for (int lane = 0; lane < count; ++lane) to[lane] = vector[lane];
}

#if defined(__AVX512F__) && !defined(UOTP_LOWERED_AVX512)
inline __mmask16 first_bits(int count) { return __mmask16((1u << count) - 1); }
template <> inline Vec<float> load_part(const float* from, int count) { return (Vec<float>)_mm512_maskz_loadu_ps(first_bits(count), from); }
template <> inline Vec<double> load_part(const double* from, int count) { return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8(first_bits(count)), from); }
template <> inline void store_part(float* to, Vec<float> vector, int count) { _mm512_mask_storeu_ps(to, first_bits(count), (__m512)vector); }
template <> inline void store_part(double* to, Vec<double> vector, int count) { _mm512_mask_storeu_pd(to, __mmask8(first_bits(count)), (__m512d)vector); }
#elif defined(__AVX2__) && !defined(UOTP_LOWERED_AVX512)
template <> inline Vec<float> load_part(const float* from, int count) { return (Vec<float>)_mm256_maskload_ps(from, (__m256i)first<float>(count)); }
template <> inline Vec<double> load_part(const double* from, int count) { return (Vec<double>)_mm256_maskload_pd(from, (__m256i)first<double>(count)); }
template <> inline void store_part(float* to, Vec<float> vector, int count) { _mm256_maskstore_ps(to, (__m256i)first<float>(count), (__m256)vector); }
template <> inline void store_part(double* to, Vec<double> vector, int count) { _mm256_maskstore_pd(to, (__m256i)first<double>(count), (__m256d)vector); }
#endif

template <class T> inline Vec<T> load(const T* from, int count = W<T>) {
  return count == W<T> ? load_whole<Vec<T>>(from) : load_part<Vec<T>>(from, count);
}

template <class T> inline void store(T* to, Vec<T> vector, int count = W<T>) {
  if (count == W<T>) store_whole(to, vector);
  else store_part(to, vector, count);
}
template <class T> inline void add(T* to, Vec<T> vector) { store(to, load(to) + vector); }

// ---- half formats: read and written directly, computed in float

inline Lanes<float>::half load_half(const uint16_t* from, int count) {
  typedef Lanes<float>::half Half;
  return count == W<float> ? load_whole<Half>(from) : load_part<Half>(from, count);
}

inline void store_half(uint16_t* to, Bits<float> bits, int count) {
  const auto half = __builtin_convertvector(bits, Lanes<float>::half);
  if (count == W<float>) store_whole(to, half);
  else store_part(to, half, count);
}

inline Vec<float> load(const bfloat16* from, int count = W<float>) {
  return bit_cast<Vec<float>>(__builtin_convertvector(load_half(&from->bits, count), WrappingBits<float>) << 16);
}

// A half is a float whose exponent is 112 too small: multiplying by 2^112 mends normal and denormal numbers alike.
inline Vec<float> load(const float16* from, int count = W<float>) {
  const Bits<float> half = __builtin_convertvector(load_half(&from->bits, count), Bits<float>);
  const Vec<float> scaled = bit_cast<Vec<float>>((half & 0x7fff) << 13) * splat(0x1p112f);
  const Bits<float> special = bit_cast<Bits<float>>(scaled) | 0x7f800000;
  const Bits<float> magnitude = (half & 0x7c00) == 0x7c00 ? special : bit_cast<Bits<float>>(scaled);
  return bit_cast<Vec<float>>(magnitude | bit_cast<Bits<float>>(bit_cast<WrappingBits<float>>(half & 0x8000) << 16));
}

// What is stored are gradients, and a finite gradient beyond the format would, as an infinity, wipe out a whole model.
inline Vec<float> saturate(Vec<float> vector, float largest) { return vector > largest ? splat(largest) : vector < -largest ? splat(-largest) : vector; }

inline void store(bfloat16* to, Vec<float> given, int count = W<float>) {
  const Vec<float> vector = saturate(given, 0x1.fep127f);
  const WrappingBits<float> bits = bit_cast<WrappingBits<float>>(vector), rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  store_half(&to->bits, vector == vector ? bit_cast<Bits<float>>(rounded) : Bits<float>{} + 0x7fc0, count);
}

// Round to nearest even: numbers below the smallest normal half by adding a power of two whose last place is a half's.
inline void store(float16* to, Vec<float> given, int count = W<float>) {
  const Vec<float> vector = saturate(given, 65504);
  const Bits<float> bits = bit_cast<Bits<float>>(vector), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  const WrappingBits<float> wrapping = bit_cast<WrappingBits<float>>(magnitude);
  const Bits<float> normal = bit_cast<Bits<float>>((wrapping - 0x38000000 + 0xfff + ((wrapping >> 13) & 1)) >> 13);
  const Bits<float> small = bit_cast<Bits<float>>(bit_cast<Vec<float>>(magnitude) + splat(.5f)) - 0x3f000000;
  const Bits<float> finite = magnitude < 0x38800000 ? small : normal;
  store_half(&to->bits, (magnitude > 0x7f800000 ? Bits<float>{} + 0x7e00 : finite) | sign, count);
}

// ---- across lanes

// Each run of `step` lanes in the place of its neighbour.
template <class T, int step, int... lane> UOTP_INLINE Vec<T> swapped(Vec<T> vector, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(vector, vector, (lane ^ step)...);
}

// Runs of `step` lanes, in their places: even ones of `a`, odd ones of `b`.
template <class T, int step, int... lane> UOTP_INLINE Vec<T> woven(Vec<T> a, Vec<T> b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane / step % 2 * W<T> + lane)...);
}

template <class T> constexpr std::make_integer_sequence<int, W<T>> kLanes{};

// All lanes to the one number that `both` makes of them, halves first.
template <class T, int step = W<T> / 2, class F> UOTP_INLINE T across(Vec<T> vector, F both) {
  if constexpr (step) return across<T, step / 2>(both(vector, swapped<T, step>(vector, kLanes<T>)), both);
  else return vector[0];
}

template <class T> UOTP_INLINE T sum(Vec<T> vector) {
  return across<T>(vector, [](Vec<T> a, Vec<T> b) { return a + b; });
}
template <class T> UOTP_INLINE T largest(Vec<T> vector) {
  return across<T>(vector, [](Vec<T> a, Vec<T> b) { return maximum<T>(a, b); });
}

template <class T, int step, class F> UOTP_INLINE void fold(Vec<T>* rows, F both) {
  if constexpr (step < W<T>) {
    for (int row = 0; row < W<T>; row += 2 * step) {
      const Vec<T> a = rows[row], b = rows[row + step];
      rows[row] = both(woven<T, step>(a, b, kLanes<T>), swapped<T, step>(woven<T, step>(b, a, kLanes<T>), kLanes<T>));
    }
    fold<T, 2 * step>(rows, both);
  }
}

// W vectors to the vector of their sums, or maxima; W - 1 additions instead of W separate reductions.
template <class T> UOTP_INLINE Vec<T> sums(Vec<T>* rows) {
  fold<T, 1>(rows, [](Vec<T> a, Vec<T> b) { return a + b; });
  return rows[0];
}
template <class T> UOTP_INLINE Vec<T> maxima(Vec<T>* rows) {
  fold<T, 1>(rows, [](Vec<T> a, Vec<T> b) { return maximum<T>(a, b); });
  return rows[0];
}

}  // namespace UOTP_ISA
}  // namespace uotp
