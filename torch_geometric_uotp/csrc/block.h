// A block: some rows of a set whose exponentials stay in the first-level cache, and products with such a tile.
//
// A number a node is an array of kRows, worked on a vector at a time; a number a channel is an array of `padded`.
#pragma once
#include <type_traits>

#include "exp_log.h"
#include "sets.h"

namespace uotp {
namespace UOTP_ISA {

constexpr int kRows = 64;            // most rows of a block
constexpr int64_t kTile = 1 << 12;   // elements of a block, where W rows have no more

// Rows, and vectors of columns, taken together, so that what they share is loaded once: as many as the registers hold.
template <class T> constexpr int kPanel = W<T> < 4 ? W<T> : kBytes == 64 ? 8 : 4;
template <class T> constexpr int kColumns = kBytes == 64 ? 4 : 2;

template <class T> struct alignas(kBytes) PerNode {
  T value[kRows];
  T& operator[](int i) { return value[i]; }
  T operator[](int i) const { return value[i]; }
};

template <class S, class T> struct Block {
  const Rows<S, T>& rows;
  int64_t first;
  int count;
  int64_t offset[kRows];  // of the rows in a tensor [N, D]

  Block(const Rows<S, T>& rows, int64_t first, int64_t last) : rows(rows), first(first), count(int(last - first)) {
    for (int i = 0; i < count; ++i) offset[i] = rows.node(first + i) * rows.stride + rows.head * rows.width;
  }

  template <class P> P* row(P* tensor, int i) const { return tensor + offset[i]; }
  int64_t node(int i) const { return rows.node(first + i) * rows.heads() + rows.head; }
};

// Whether what several steps give an element of x can be added up where it is stored.
template <class S, class T> constexpr bool kDirect = sizeof(S) == sizeof(T);

// Adds a step's part to an element of d_x. Half formats gather the steps in `staged`, [rows, padded], and are rounded once.
template <class S, class T>
UOTP_INLINE void add_step(const Block<S, T>& block, S* d_x, T* staged, int i, int64_t at, int lanes, Vec<T> value, bool is_first, bool is_last) {
  S* to = block.row(d_x, i) + at;
  T* gathered = staged + (block.first + i) * block.rows.padded + at;
  if (!is_first) value += kDirect<S, T> ? load(to, lanes) : load(gathered);
  if (kDirect<S, T> || is_last) store(to, value, lanes);
  else store(gathered, value);
}

template <class S, class T> inline int64_t block_rows(const Rows<S, T>& rows) {
  return larger(W<T>, smaller(kRows, kTile / rows.padded / W<T> * W<T>));
}

// f(block) over the rows [first, last) of a set; `first` is a multiple of W.
template <class S, class T, class F> inline void for_blocks(const Rows<S, T>& rows, int64_t first, int64_t last, F f) {
  const int64_t step = block_rows(rows);
  for (; first < last; first += step) f(Block<S, T>(rows, first, smaller(first + step, last)));
}

// The smallest and largest score seen, and whether all were finite.
template <class T> struct Extremes {
  Vec<T> low = splat(Format<T>::infinity), high = splat(-Format<T>::infinity), defect{};

  UOTP_INLINE void see(Vec<T> score, int lanes) {
    defect += score * 0;  // NaN unless finite
    low = minimum<T>(low, lanes == W<T> ? score : first<T>(lanes) ? score : low);
    high = maximum<T>(high, lanes == W<T> ? score : first<T>(lanes) ? score : high);
  }

  template <class S> UOTP_FLATTEN void see(const Block<S, T>& block, const S* scores) {
    Extremes seen = *this;
    for (int i = 0; i < block.count; ++i)
      for_columns<T>(block.rows.width, [&](int64_t column, int lanes) { seen.see(load(block.row(scores, i) + column, lanes), lanes); });
    *this = seen;
  }

  void put(T* part) const { store(part, low), store(part + W<T>, high), store(part + 2 * W<T>, defect); }
  void add(const T* part) { low = minimum<T>(low, load(part)), high = maximum<T>(high, load(part + W<T>)), defect += load(part + 2 * W<T>); }

  bool finite() const { return sum<T>(defect) == 0; }
  T lowest() const { return -largest<T>(-low); }
  T highest() const { return largest<T>(high); }
  T middle() const { return lowest() + (highest() - lowest()) / 2; }
};

// log q0 of a block's nodes, log p0 of some channels; uniform where no prior is given.
template <class S, class T> inline void node_prior(const Batch<S, T>& batch, const Block<S, T>& block, PerNode<T>& log_q0) {
  const T uniform = batch.log_q0 ? T(0) : block.rows.uniform_q0;
  for (int i = 0; i < kRows; i += W<T>) store(log_q0.value + i, splat(uniform));
  if (batch.log_q0)
    for (int i = 0; i < block.count; ++i) log_q0[i] = batch.log_q0[block.node(i)];
}
// The node of a set that its prior likes best. Where slacks may be taken from any node's, its own costs them no places: a node that is all
// but left out may have one of -1e9.
template <class S, class T> inline int64_t likeliest(const Batch<S, T>& batch, const Rows<S, T>& rows) {
  int64_t best = 0;
  const auto prior = [&](int64_t n) { return batch.log_q0[rows.node(n) * rows.heads() + rows.head]; };
  for (int64_t n = 1; batch.log_q0 && n < rows.count; ++n) best = prior(n) > prior(best) ? n : best;
  return best;
}
template <class S, class T> inline Vec<T> channel_prior(const Batch<S, T>& batch, const Rows<S, T>& rows, int64_t column, int lanes) {
  return batch.log_p0 ? load(batch.log_p0 + rows.head * rows.width + column, lanes) : splat(rows.uniform_p0);
}

// result_m = sum over columns of term(row, column)_m: `term` adds to the M x kPanel vectors of a panel of rows.
template <class T, int M, class F> inline void panel_sums(int count, int64_t padded, PerNode<T> (&result)[M], F term) {
  for (int first = 0; first < count; first += W<T>) {
    Vec<T> part[M][W<T>];
    for (int row = 0; row < W<T>; row += kPanel<T>) {
      Vec<T> total[M][kPanel<T>] = {};
      if (first + row < count)
        for (int64_t column = 0; column < padded; column += W<T>) term(total, first + row, column);
      for (int m = 0; m < M; ++m)
        for (int r = 0; r < kPanel<T>; ++r) part[m][row + r] = total[m][r];
    }
    for (int m = 0; m < M; ++m) store(result[m].value + first, sums<T>(part[m]));
  }
}

// result_m = sum over columns of tile x weight_m
template <class T, int M> inline void row_products(const T* tile, int count, int64_t padded, const T* const (&weight)[M], PerNode<T> (&result)[M]) {
  panel_sums<T, M>(count, padded, result, [&](Vec<T> (&total)[M][kPanel<T>], int row, int64_t column) {
    Vec<T> factor[M];
    for (int m = 0; m < M; ++m) factor[m] = load(weight[m] + column);
    for (int r = 0; r < kPanel<T>; ++r) {
      const Vec<T> value = load(tile + (row + r) * padded + column);
      for (int m = 0; m < M; ++m) total[m][r] += value * factor[m];
    }
  });
}

// f(how many vectors, column): panels of kColumns vectors, then single ones.
template <class T, class F> inline void for_panels(int64_t padded, F f) {
  int64_t column = 0;
  for (; column + kColumns<T> * W<T> <= padded; column += kColumns<T> * W<T>) f(std::integral_constant<int, kColumns<T>>{}, column);
  for (; column < padded; column += W<T>) f(std::integral_constant<int, 1>{}, column);
}

// to += sum over rows of tile x weight. The rows are added up first: one running sum over all blocks rounds equal terms the same way every time.
template <class T> inline void column_products(const T* tile, int count, int64_t padded, const T* weight, T* to) {
  for_panels<T>(padded, [&](auto vectors, int64_t column) {
    Vec<T> total[vectors] = {};
    for (int i = 0; i < count; ++i)
      for (int v = 0; v < vectors; ++v) total[v] += load(tile + i * padded + column + v * W<T>) * weight[i];
    for (int v = 0; v < vectors; ++v) add(to + column + v * W<T>, total[v]);
  });
}

// tile = sum over k of row_factor_k x column_factor_k: the rows' are `row_stride` apart, the columns' `padded`.
template <class T> inline void outer_products(T* tile, int count, int64_t padded, int64_t terms, const T* row_factor, int64_t row_stride, const T* column_factor) {
  constexpr int rows = W<T> < 4 ? W<T> : 4;
  for (int first = 0; first < count; first += rows)
    for_panels<T>(padded, [&](auto vectors, int64_t column) {
      Vec<T> total[rows][vectors] = {};
      for (int64_t k = 0; k < terms; ++k)
        for (int v = 0; v < vectors; ++v) {
          const Vec<T> factor = load(column_factor + k * padded + column + v * W<T>);
          for (int r = 0; r < rows; ++r) total[r][v] += factor * row_factor[k * row_stride + first + r];
        }
      for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) store(tile + (first + r) * padded + column + v * W<T>, total[r][v]);
    });
}

// Adds the chunks' arrays of `length` numbers, `stride` apart, in their order, into the first.
template <class T> inline void combine(T* parts, int64_t chunks, int64_t length, int64_t stride) {
  for (int64_t chunk = 1; chunk < chunks; ++chunk)
    for (int64_t i = 0; i < length; i += W<T>) store(parts + i, load(parts + i) + load(parts + chunk * stride + i));
}

}  // namespace UOTP_ISA
}  // namespace uotp
