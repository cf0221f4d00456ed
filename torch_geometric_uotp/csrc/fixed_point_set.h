// One set and head of a fixed-point problem: its plan at given channel potentials, and the system of Newton's method.
//
//   u_nd = e^{t x_nd + a_d - L_n},  L_n = LSE_d(t x_nd + a_d)                                                    (1)
//   b_n = r_q (log q0_n - L_n),  q_n = e^{b_n + L_n} up to a factor e^-m,  p_d = sum_n q_n u_nd                  (2)
//   LSE_n(t x_nd + b_n) = log p_d - a_d + m                                                                      (3)
//   S v = p v - r_p r_q P^T (U v),  P = diag(q) U                                                                (4)
//
// so a sweep takes one exponential an element, and a product with S none while U is held.
#pragma once
#include "sinkhorn_log.h"

namespace uotp {
namespace UOTP_ISA {

template <class T> struct Weights {
  T t, r_p, r_q;
  T rate() const { return r_p * r_q; }
  // With t multiplied by s and the other two of alpha0, alpha1, alpha2 as they are.
  Weights softer(T s) const { return {t * s, fidelity(r_p, s), fidelity(r_q, s)}; }
  static T fidelity(T r, T s) { return s * r / (1 - r + s * r); }
};

// Curvature along a direction, relative to that of diag(p), which cannot be told from 0: at r_p r_q = 1 the system may be singular.
template <class T> constexpr T kFlat = 4 * T(__DBL_EPSILON__);

template <class T> inline T dot(const T* a, const T* b, int64_t padded) {
  Vec<T> total{};
  for (int64_t at = 0; at < padded; at += W<T>) total += load(a + at) * load(b + at);
  return sum<T>(total);
}

// f(column) -> vector, kept; columns beyond the set's width become 0.
template <class T, class F> inline void fill(T* to, int64_t width, F f) {
  for_columns<T>(width, [&](int64_t at, int lanes) {
    const Vec<T> value = f(at, lanes);
    store(to + at, first<T>(lanes) ? value : Vec<T>{});
  });
}

template <class T> class FixedPointSet {
 public:
  FixedPointSet(const Batch<T, T>& batch, const Rows<T, T>& rows, const Parallel* parallel) : batch_(batch), rows_(rows), parallel_(parallel) {}

  // Carves this set's memory.
  void take(Carver<T>& carver) {
    const int64_t nodes = round_up(rows_.count, W<T>);
    a = carver.take(rows_.padded), p = carver.take(rows_.padded), direction_ = carver.take(rows_.padded), rest_ = carver.take(rows_.padded);
    image_ = carver.take(rows_.padded), log_sum = carver.take(nodes), b = carver.take(nodes), q = carver.take(nodes);
    partial_ = carver.take(rows_.chunks() * part());
    held_ = carver.take(rows_.held() ? nodes * rows_.padded : 0);
    if (!rows_.held()) held_ = nullptr;
  }

  // Node potentials found before; what (3) says of them is not known yet.
  void recall(Weights<T> weights, const T* given_b) {
    weights_ = weights;
    for (int64_t n = 0; n < rows_.count; ++n) b[n] = given_b[rows_.node(n) * rows_.heads() + rows_.head];
  }

  // (1), and (2) with the node potentials that follow from a, or those recalled.
  void form(Weights<T> weights, bool recalled) {
    weights_ = weights;
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* masses = cleared(chunk);
      T& most = masses[rows_.padded] = -Format<T>::infinity;
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) {
        T* u = tile(block);
        normalise(block, u);
        set_nodes(block, recalled);
        add_masses(block, u, masses, most);
      });
    });
    finish_masses();
  }

  // LSE_n(t x + b), by (3) where p says it and by its definition where p has underflowed.
  void node_sums(T* to) {
    T least = Format<T>::infinity;
    for (int64_t d = 0; d < rows_.width; ++d) least = p[d] < least ? p[d] : least;
    if (!(least > Format<T>::smallest_sum)) return weigh([&](int64_t at, int lanes, const LogColumns<T>& sum) { store(to + at, sum.most + log<T>(sum.mass), lanes); });
    fill(to, rows_.width, [&](int64_t at, int lanes) { return log<T>(first<T>(lanes) ? load(p + at) : splat(T(1))) - load(a + at) + most_; });
  }

  // f(column, lanes, the sums over nodes with weights e^{t x + b}): their logarithm and the values' mean.
  template <class F> void weigh(F f) {
    const T* values = batch_.values ? batch_.values : batch_.scores;
    const int64_t padded = rows_.padded;
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* column = partial_ + chunk * part();
      for (int64_t at = 0; at < padded; at += W<T>) LogColumns<T>::none().keep(column + at, padded);
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) {
        for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
          LogColumns<T> here = LogColumns<T>::none(), sum = LogColumns<T>::at(column + at, padded);
          const auto value = [&](int i) { return load(block.row(values, i) + at, lanes); };
          for (int i = 0; i < block.count; ++i) here.see(exponent(block, i, at, lanes, b[block.first + i]), value(i));
          for (int i = 0; i < block.count; ++i) here.add(exponent(block, i, at, lanes, b[block.first + i]), value(i));
          sum.merge(here);
          sum.keep(column + at, padded);
        });
      });
    });
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      LogColumns<T> sum = LogColumns<T>::at(partial_ + at, padded);
      for (int64_t chunk = 1; chunk < rows_.chunks(); ++chunk) sum.merge(LogColumns<T>::at(partial_ + chunk * part() + at, padded));
      f(at, lanes, sum);
    });
  }

  // to = U^T y for a number y a node
  void to_channels(const T* y, T* to) {
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* column = cleared(chunk);
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) { column_products(formed(block), block.count, rows_.padded, y + block.first, column); });
    });
    add_chunks(to);
  }

  // f(n, (U v)_n) for every node
  template <class F> void to_nodes(const T* v, F f) {
    for_chunks(rows_, parallel_, [&](int64_t, int64_t begin, int64_t end) {
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) {
        PerNode<T> sums[1];
        row_products<T, 1>(formed(block), block.count, rows_.padded, {v}, sums);
        for (int i = 0; i < block.count; ++i) f(block.first + i, sums[0][i]);
      });
    });
  }

  // Conjugate gradients for S v = right, preconditioned by p, to a residual of `accuracy` relative to the right-hand side; how many products it took.
  int64_t solve(const T* right, T* v, T accuracy, int64_t limit) {
    const int64_t padded = rows_.padded;
    for (int64_t at = 0; at < padded; at += W<T>) store(v + at, Vec<T>{}), store(rest_ + at, load(right + at)), store(direction_ + at, scaled(right, at));
    T size = dot(rest_, direction_, padded);
    const T goal = accuracy * accuracy * size;
    int64_t products = 0;
    while (size > goal && products < limit) {
      multiply();
      const T curvature = dot(direction_, image_, padded);
      if (!(curvature > kFlat<T> * energy())) break;
      ++products;
      const T step = size / curvature;
      Vec<T> after{};
      for (int64_t at = 0; at < padded; at += W<T>) {
        store(v + at, load(v + at) + step * load(direction_ + at));
        store(rest_ + at, load(rest_ + at) - step * load(image_ + at));
        after += load(rest_ + at) * scaled(rest_, at);
      }
      const T turn = sum<T>(after) / size;
      for (int64_t at = 0; at < padded; at += W<T>) store(direction_ + at, scaled(rest_, at) + turn * load(direction_ + at));
      size = sum<T>(after);
    }
    return products;
  }

  UOTP_INLINE Vec<T> exponent(const Block<T, T>& block, int i, int64_t at, int lanes, Vec<T> bias) const {
    return load(block.row(batch_.scores, i) + at, lanes) * weights_.t + bias;
  }
  UOTP_INLINE Vec<T> exponent(const Block<T, T>& block, int i, int64_t at, int lanes, T bias) const { return exponent(block, i, at, lanes, splat(bias)); }

  // U of a block, formed anew unless it is held.
  const T* formed(const Block<T, T>& block) const {
    T* u = tile(block);
    if (!held_) normalise(block, u);
    return u;
  }

  T *a, *p;                // of channels; a is the caller's to set
  T *log_sum, *b, *q;      // L, b and q of nodes

 private:
  int64_t part() const { return LogColumns<T>::numbers * rows_.padded; }

  T* tile(const Block<T, T>& block) const { return held_ ? held_ + block.first * rows_.padded : block_scratch().template at_least<T>(kRows * rows_.padded); }

  void normalise(const Block<T, T>& block, T* u) const {
    for (int i = 0; i < block.count; ++i) {
      T* row = u + i * rows_.padded;
      Vec<T> most = splat(-Format<T>::infinity), total{};
      for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
        const Vec<T> y = exponent(block, i, at, lanes, load(a + at));
        store(row + at, first<T>(lanes) ? y : splat(-Format<T>::infinity));
        most = maximum<T>(most, load(row + at));
      });
      const T peak = offset<T>(splat(largest<T>(most)))[0];
      for (int64_t at = 0; at < rows_.padded; at += W<T>) {
        const Vec<T> value = exp<T>(load(row + at) - peak);
        store(row + at, value), total += value;
      }
      const T mass = sum<T>(total), factor = 1 / mass;
      log_sum[block.first + i] = peak + log<T>(splat(mass))[0];
      for (int64_t at = 0; at < rows_.padded; at += W<T>) store(row + at, load(row + at) * factor);
    }
    const int64_t end = smaller(round_up(block.count, kPanel<T>), kRows) * rows_.padded;
    for (int64_t at = block.count * rows_.padded; at < end; at += W<T>) store(u + at, Vec<T>{});
  }

  void set_nodes(const Block<T, T>& block, bool recalled) const {
    PerNode<T> log_q0;
    node_prior(batch_, block, log_q0);
    for (int i = 0; i < block.count; ++i) {
      const int64_t n = block.first + i;
      if (!recalled) b[n] = weights_.r_q * (log_q0[i] - log_sum[n]);
      q[n] = b[n] + log_sum[n];  // its logarithm, until finish_masses
    }
  }

  // Adds a block's share of p, in units of e^most, the largest q so far.
  void add_masses(const Block<T, T>& block, const T* u, T* masses, T& most) const {
    T peak = most;
    for (int i = 0; i < block.count; ++i) peak = q[block.first + i] > peak ? q[block.first + i] : peak;
    if (peak > most)
      for (int64_t at = 0; at < rows_.padded; at += W<T>) store(masses + at, load(masses + at) * exp<T>(splat(most - peak)));
    most = peak;
    PerNode<T> mass;
    for (int i = 0; i < block.count; i += W<T>) store(mass.value + i, exp<T>(load(q + block.first + i, int(smaller(W<T>, block.count - i))) - most));
    column_products(u, block.count, rows_.padded, mass.value, masses);
  }

  void finish_masses() {
    most_ = -Format<T>::infinity;
    const auto masses = [&](int64_t chunk) { return partial_ + chunk * part(); };
    for (int64_t chunk = 0; chunk < rows_.chunks(); ++chunk) most_ = masses(chunk)[rows_.padded] > most_ ? masses(chunk)[rows_.padded] : most_;
    for (int64_t at = 0; at < rows_.padded; at += W<T>) {
      Vec<T> total{};
      for (int64_t chunk = 0; chunk < rows_.chunks(); ++chunk) total += load(masses(chunk) + at) * exp<T>(splat(masses(chunk)[rows_.padded] - most_));
      store(p + at, total);
    }
    for_columns<T>(rows_.count, [&](int64_t n, int lanes) { store(q + n, exp<T>(load(q + n, lanes) - most_), lanes); });
  }

  // image = S direction, by (4)
  void multiply() {
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* column = cleared(chunk);
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) {
        const T* u = formed(block);
        PerNode<T> sums[1];
        row_products<T, 1>(u, block.count, rows_.padded, {direction_}, sums);
        for (int i = 0; i < block.count; ++i) sums[0][i] *= q[block.first + i];
        column_products(u, block.count, rows_.padded, sums[0].value, column);
      });
    });
    add_chunks(image_);
    const T rate = weights_.rate();
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(image_ + at, load(p + at) * load(direction_ + at) - rate * load(image_ + at));
  }

  // What diag(p) alone makes of the direction.
  T energy() const {
    Vec<T> total{};
    for (int64_t at = 0; at < rows_.padded; at += W<T>) total += load(p + at) * load(direction_ + at) * load(direction_ + at);
    return sum<T>(total);
  }

  // A channel whose mass underflows counts for nothing.
  Vec<T> scaled(const T* v, int64_t at) const {
    const Vec<T> mass = load(p + at);
    return mass > Vec<T>{} ? load(v + at) / mass : Vec<T>{};
  }

  T* cleared(int64_t chunk) const {
    T* column = partial_ + chunk * part();
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(column + at, Vec<T>{});
    return column;
  }

  void add_chunks(T* to) const {
    for (int64_t at = 0; at < rows_.padded; at += W<T>) {
      Vec<T> total = load(partial_ + at);
      for (int64_t chunk = 1; chunk < rows_.chunks(); ++chunk) total += load(partial_ + chunk * part() + at);
      store(to + at, total);
    }
  }

  const Batch<T, T>& batch_;
  const Rows<T, T>& rows_;
  const Parallel* parallel_;
  Weights<T> weights_;
  T most_;
  T *direction_, *rest_, *image_, *partial_, *held_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
