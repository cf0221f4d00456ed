// BADMM on one set and head. A step is two sweeps over the nodes: one brings S and Z of the step before and sums up the columns of P, the
// other sums up the rows of S. In between, an element is its Z (and, with the quadratic regulariser, its M): sets that are not too
// large keep it, the others walk to it from the score.
#pragma once
#include "badmm_step.h"

namespace uotp {
namespace UOTP_ISA {

constexpr int64_t kState = 1 << 22;  // numbers that are kept, at most, of the elements of a set between sweeps

// result = the largest of term(row, column) in each row
template <class T, class F> UOTP_INLINE void row_maxima(int count, int64_t width, PerNode<T>& result, F term) {
  for (int first = 0; first < count; first += W<T>) {
    Vec<T> row[W<T>]{};
    for (int i = 0; i < smaller(W<T>, count - first); ++i) {
      row[i] = splat(kNever<T>);
      for_columns<T>(width, [&](int64_t at, int lanes) { row[i] = maximum<T>(row[i], term(first + i, at, lanes)); });
    }
    store(result.value + first, maxima<T>(row));
  }
}

template <class S, class T, bool quadratic> class BadmmForwardSet {
  using Recursion = BadmmRecursion<S, T, quadratic>;

 public:
  BadmmForwardSet(const Badmm<S, T>& problem, const BadmmForward<S, T>& out, const Rows<S, T>& rows, const Parallel* parallel)
      : out_(out), rows_(rows), parallel_(parallel), of_(problem, rows), last_(of_.steps - 1) {
    const bool held = tile_size(rows, rows.count) * tiles() <= kState;
    T* memory = nullptr;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      of_.carve(carver);
      partial_ = carver.take(rows.chunks() * part());
      held_ = carver.take(held ? tile_size(rows, rows.count) * tiles() : 0);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
    if (!held) held_ = nullptr;
  }

  void solve() {
    of_.start();
    for (int64_t k = 0; k < last_; ++k) sum_columns(k), sum_rows(k);
    sum_columns(last_);
    pool();
  }

 private:
  static int64_t tiles() { return BadmmState<T>::tiles(quadratic); }
  int64_t part() const { return LogMean<T>::numbers * rows_.padded; }

  // f(block, its nodes, its state at the start of step k, the chunk's part, a tile) over all blocks.
  template <bool needs_state, class F> void sweep(int64_t k, F f) {
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* part = partial_ + chunk * this->part();
      for (int64_t at = 0; at < rows_.padded; at += W<T>) LogMean<T>{}.keep(part + at, rows_.padded);
      const int64_t most = tile_size(rows_, block_rows(rows_));
      T* tile = block_scratch().template at_least<T>((1 + tiles()) * most);
      for_blocks(rows_, begin, end, [&](const Block<S, T>& block) {
        const auto state = BadmmState<T>::at(held_ ? held_ + tile_size(rows_, block.first) * tiles() : tile + most, tile_size(rows_, block.count));
        if (!k) of_.start_nodes(block);
        if (needs_state && (!k || !held_)) of_.begin(block, state);
        for (int64_t j = held_ || !needs_state ? k : 0; j < k; ++j) of_.template advance<false>(block, j, state, nullptr, nullptr);
        f(block, of_.nodes.of(block.first), state, part, tile);
      });
    });
  }

  // r of step k, u and mu.
  void sum_columns(int64_t k) {
    sweep<true>(k ? k - 1 : 0, [&](const Block<S, T>& block, const BadmmNodes<T>& nodes, const BadmmState<T>& state, T* part, T* y) UOTP_FLATTEN {
      if (k) of_.set_nodes(block, k - 1, out_.node_log_sums), of_.template advance<false>(block, k - 1, state, nullptr, nullptr);
      const BadmmStep<T> step = of_.coefficient[k];
      const T* b = nodes.at(nodes.b, k);
      for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
        LogMean<T> here;
        const Vec<T> a = load(of_.channels.at(of_.channels.a, k) + at);
        for (int i = 0; i < block.count; ++i) {
          const int64_t place = i * rows_.padded + at;
          const Vec<T> value = of_.m(state, step, place, of_.score(block, i, at, lanes), a, b[i]) - step.dual * load(state.z + place);
          store(y + i * W<T>, value);
          if (k == last_) here.anchor = value > here.sum.most ? load(block.row(of_.values(), i) + at, lanes) : here.anchor;
          here.sum.most = maximum<T>(here.sum.most, value);
        }
        for (int i = 0; i < block.count; ++i) {
          const Vec<T> weight = exp2_down<T>(load(y + i * W<T>) - here.sum.most);
          here.sum.mass += weight;
          if (k == last_) here.moment += weight * (load(block.row(of_.values(), i) + at, lanes) - here.anchor);
        }
        LogMean<T> total = LogMean<T>::at(part + at, rows_.padded);
        total.merge(here);
        total.keep(part + at, rows_.padded);
      });
    });
    finish_columns(k);
    if (k < last_) of_.set_channels(k);
  }

  void finish_columns(int64_t k) {
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      LogMean<T> all = LogMean<T>::at(partial_ + at, rows_.padded);
      for (int64_t chunk = 1; chunk < rows_.chunks(); ++chunk) all.merge(LogMean<T>::at(partial_ + chunk * part() + at, rows_.padded));
      all.keep(partial_ + at, rows_.padded);
      const Vec<T> rest = log2<T>(all.sum.mass), r = k < last_ ? all.sum.most + rest : all.sum.most;
      store(of_.channels.at(of_.channels.r, k) + at, first<T>(lanes) ? r : Vec<T>{});
      store(of_step(of_.problem, rows_, out_.channel_log_sums, k) + at, r, lanes);
      // Weights of the output are taken from the two, one after the other: their sum would be rounded to the last place of the larger.
      if (k == last_) store(of_step(of_.problem, rows_, out_.channel_log_sums, k + 1) + at, rest, lanes);
    });
  }

  // c of step k, and the mass of S.
  void sum_rows(int64_t k) {
    const BadmmStep<T> step = of_.coefficient[k];
    // With the entropy the rows follow from the scores alone, by (5).
    sweep<quadratic>(k, [&](const Block<S, T>& block, const BadmmNodes<T>& nodes, const BadmmState<T>& state, T* part, T* tile) UOTP_FLATTEN {
      PerNode<T> most, mass[1];
      const T *a = of_.channels.at(of_.channels.a, k), *next = of_.next(k), *mu = of_.channels.at(of_.channels.mu, k), *r = of_.channels.at(of_.channels.r, k);
      const T* b = nodes.at(nodes.b, k);
      row_maxima(block.count, rows_.width, most, [&](int i, int64_t at, int lanes) {
        const int64_t place = i * rows_.padded + at;
        const Vec<T> x = of_.score(block, i, at, lanes), m = of_.m(state, step, place, x, load(a + at), b[i]);
        const Vec<T> p = quadratic ? exp2_down<T>(m - step.dual * load(state.z + place) - load(r + at)) * load(mu + at) : Vec<T>{};
        const Vec<T> y = of_.kernel(step, m, x, p, load(next + at), b[i]);
        store(tile + place, y);
        return y;
      });
      panel_sums<T, 1>(block.count, rows_.padded, mass, [&](Vec<T> (&total)[1][kPanel<T>], int row, int64_t at) {
        for (int r = 0; r < kPanel<T>; ++r) total[0][r] += exp2_down<T>(load(tile + (row + r) * rows_.padded + at) - most[row + r]);
      });
      add_mass(block, nodes, k, most, mass[0], part);
    });
    LogSum<T> total = LogSum<T>::at(partial_, rows_.padded);
    for (int64_t chunk = 1; chunk < rows_.chunks(); ++chunk) total.merge(LogSum<T>::at(partial_ + chunk * part(), rows_.padded));
    mass_of(of_.problem, rows_, out_.masses, k) = of_.masses[k] = Recursion::whole(total);
  }

  void add_mass(const Block<S, T>& block, const BadmmNodes<T>& nodes, int64_t k, PerNode<T>& most, const PerNode<T>& mass, T* part) {
    T* sums = out_.node_log_sums + k * of_.problem.batch.ptr[of_.problem.batch.sets] * rows_.heads();
    LogSum<T> total = LogSum<T>::at(part, rows_.padded);
    for (int i = 0; i < block.count; i += W<T>) {
      const Vec<T> c = load(most.value + i) + log2<T>(load(mass.value + i)), share = Recursion::node_share(of_.coefficient[k], c, load(nodes.log_q0 + i) - c);
      const auto there = first<T>(block.count - i);
      store(most.value + i, c);
      total.merge({there ? share : splat(kNever<T>), there ? splat(T(1)) : Vec<T>{}});
    }
    total.keep(part, rows_.padded);
    for (int i = 0; i < block.count; ++i) sums[block.node(i)] = most[i];
  }

  // The mean of one node is that node, to the last bit.
  void pool() {
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const LogMean<T> all = LogMean<T>::at(partial_ + at, rows_.padded);
      store(rows_.of_set(out_.pooled) + at, rows_.count == 1 ? load(rows_.row(of_.values(), 0) + at, lanes) : all.mean(), lanes);
    });
  }

  const BadmmForward<S, T>& out_;
  const Rows<S, T>& rows_;
  const Parallel* parallel_;
  Recursion of_;
  const int64_t last_;
  T *partial_, *held_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
