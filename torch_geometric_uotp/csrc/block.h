// A block: W rows of a set, as many as a vector has lanes, so that what belongs to a node is one vector.
//
// Sums over channels come out as such a vector; sums over nodes are added up in arrays of one number a channel.
#pragma once
#include <type_traits>

#include "exp_log.h"
#include "sets.h"

namespace uotp {
namespace UOTP_ISA {

template <class S, class T> struct Block {
  const Rows<S, T>& rows;
  int64_t first;
  int count;
  int64_t offset[W<T>];  // of the rows in a tensor [N, D]

  Block(const Rows<S, T>& rows, int64_t first, int64_t last) : rows(rows), first(first), count(int(smaller(W<T>, last - first))) {
    for (int i = 0; i < count; ++i) offset[i] = rows.node(first + i) * rows.stride + rows.head * rows.width;
  }

  template <class P> P* row(P* tensor, int i) const { return tensor + offset[i]; }

  // One number a node of [N, heads], or `missing` where there is no tensor; lanes past the set are `missing` too.
  Vec<T> node_values(const T* tensor, T missing) const {
    Vec<T> value = splat(missing);
    if (tensor)
      for (int i = 0; i < count; ++i) value[i] = tensor[rows.node(first + i) * rows.heads() + rows.head];
    return value;
  }
  template <class F> void for_nodes(T* tensor, Vec<T> value, F update) const {
    if (tensor)
      for (int i = 0; i < count; ++i) update(tensor[rows.node(first + i) * rows.heads() + rows.head], value[i]);
  }
};

// ---- products with a tile of W rows, `padded` apart; rows past the set up to a whole panel are zeros

// Rows, or vectors of columns, taken together, so that what they share is loaded once.
template <class T> constexpr int kPanel = W<T> < 4 ? W<T> : 4;

// M sums over the columns of every row: term(sums, row, column) adds to the M x kPanel vectors of a panel of rows.
template <class T, int M, class F> inline void panel_sums(int count, int64_t padded, Vec<T> (&result)[M], F term) {
  Vec<T> part[M][W<T>];
  for (int row = 0; row < W<T>; row += kPanel<T>) {
    Vec<T> total[M][kPanel<T>] = {};
    if (row < count)
      for (int64_t column = 0; column < padded; column += W<T>) term(total, row, column);
    for (int m = 0; m < M; ++m)
      for (int r = 0; r < kPanel<T>; ++r)
        part[m][row + r] = total[m][r];
  }
  for (int m = 0; m < M; ++m) result[m] = sums<T>(part[m]);
}

// result_m = sum over columns of tile x weight_m
template <class T, int M> inline void row_products(const T* tile, int count, int64_t padded, const T* const (&weight)[M], Vec<T> (&result)[M]) {
  panel_sums<T, M>(count, padded, result, [&](Vec<T> (&total)[M][kPanel<T>], int row, int64_t column) {
    for (int r = 0; r < kPanel<T>; ++r) {
      const Vec<T> value = load(tile + (row + r) * padded + column);
      for (int m = 0; m < M; ++m) total[m][r] += value * load(weight[m] + column);
    }
  });
}

// to += sum over rows of tile x weight
template <class T> inline void column_products(const T* tile, int count, int64_t padded, const T* weight, T* to) {
  const auto add = [&](auto vectors, int64_t column) {
    constexpr int n = decltype(vectors)::value;
    Vec<T> total[n];
    for (int v = 0; v < n; ++v) total[v] = load(to + column + v * W<T>);
    for (int i = 0; i < count; ++i)
      for (int v = 0; v < n; ++v) total[v] += load(tile + i * padded + column + v * W<T>) * weight[i];
    for (int v = 0; v < n; ++v) store(to + column + v * W<T>, total[v]);
  };
  int64_t column = 0;
  for (; column + kPanel<T> * W<T> <= padded; column += kPanel<T> * W<T>) add(std::integral_constant<int, kPanel<T>>{}, column);
  for (; column < padded; column += W<T>) add(std::integral_constant<int, 1>{}, column);
}

// tile = sum over k of (row_k x column_k^T): the rows' factors are `row_stride` apart, the columns' `padded`.
template <class T> inline void outer_products(T* tile, int count, int64_t padded, int64_t terms, const T* row_factor, int64_t row_stride, const T* column_factor) {
  const auto form = [&](auto vectors, int first, int64_t column) {
    constexpr int n = decltype(vectors)::value;
    Vec<T> total[kPanel<T>][n] = {};
    for (int64_t k = 0; k < terms; ++k)
      for (int v = 0; v < n; ++v) {
        const Vec<T> factor = load(column_factor + k * padded + column + v * W<T>);
        for (int r = 0; r < kPanel<T>; ++r) total[r][v] += factor * row_factor[k * row_stride + first + r];
      }
    for (int r = 0; r < kPanel<T>; ++r)
      for (int v = 0; v < n; ++v) store(tile + (first + r) * padded + column + v * W<T>, total[r][v]);
  };
  for (int first = 0; first < count; first += kPanel<T>) {
    int64_t column = 0;
    for (; column + kPanel<T> * W<T> <= padded; column += kPanel<T> * W<T>) form(std::integral_constant<int, kPanel<T>>{}, first, column);
    for (; column < padded; column += W<T>) form(std::integral_constant<int, 1>{}, first, column);
  }
}

// f(block) over the rows [first, last) of a set; `first` is a multiple of W.
template <class S, class T, class F> inline void for_blocks(const Rows<S, T>& rows, int64_t first, int64_t last, F f) {
  for (; first < last; first += W<T>) f(Block<S, T>(rows, first, last));
}

// log q0 of a block's nodes, log p0 of some channels; uniform where no prior is given.
template <class S, class T> inline Vec<T> node_prior(const Batch<S, T>& batch, const Block<S, T>& block) {
  return block.node_values(batch.log_q0, batch.log_q0 ? T(0) : -T(__builtin_log(double(block.rows.count))));
}
template <class S, class T> inline Vec<T> channel_prior(const Batch<S, T>& batch, const Rows<S, T>& rows, int64_t column, int lanes) {
  return batch.log_p0 ? load(batch.log_p0 + rows.head * rows.width + column, lanes) : splat(-T(__builtin_log(double(rows.width))));
}

// Adds the chunks' arrays of `length` numbers, in their order, into the first.
template <class T> inline void combine(T* parts, int64_t chunks, int64_t length) {
  for (int64_t chunk = 1; chunk < chunks; ++chunk)
    for (int64_t i = 0; i < length; i += W<T>) store(parts + i, load(parts + i) + load(parts + chunk * length + i));
}

}  // namespace UOTP_ISA
}  // namespace uotp
