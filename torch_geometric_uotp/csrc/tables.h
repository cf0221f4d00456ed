// Tables of coefficients as the caller holds them, to and from the form the kernels take.
//
// A layer that learns stores points u of [0, 1], divided by `gain`, and projects them when used: r = u, t or rho = u / (1 - u).
// At the ends of the interval gradients point inwards (parametrization.py, whose arithmetic this repeats).
#pragma once
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "problem.h"

namespace uotp {

struct Projection {
  double gain;     // 0: tables hold the coefficients themselves
  double ceiling;  // where the points of odds end, and those of penalties; the latter start as far from 0
};

enum class Kind { share, odds, penalty };

// What all sets share gets a gradient from each: one that is no number counts for nothing, and none is so large that its square, which
// optimisers keep, is infinite. Else a single set of huge or invalid features would spoil what all others learn (bounded.py).
template <class T> T bounded(T grad) {
  constexpr T most = sizeof(T) == 4 ? T(0x1p60) : T(0x1p500);
  return grad != grad ? T(0) : grad > most ? most : grad < -most ? -most : grad;
}

template <class T> T sum_over_sets(const T* first, int64_t sets, int64_t stride) {
  double sum = 0;
  for (int64_t set = 0; set < sets; ++set) sum += bounded(first[set * stride]);
  return bounded(T(sum));
}

// A table [rows, heads], or [rows, sets, heads] where every set has its own.
template <class T> class Table {
 public:
  Table(const torch::stable::Tensor& given, Kind kind, Projection projection, int64_t sets)
      : rows(given.size(0)), sets(sets), heads(given.size(given.dim() - 1)), of_sets(given.dim() == 3), kind_(kind), gain_(T(projection.gain)),
        low_(kind == Kind::penalty ? T(1 - projection.ceiling) : T(0)), high_(kind == Kind::share ? T(1) : T(projection.ceiling)), given_(static_cast<const T*>(given.const_data_ptr())) {
    if (gain_)
      for (int64_t i = 0, count = given.numel(); i < count; ++i) projected_.push_back(kind == Kind::share ? point(i) : point(i) / (1 - point(i)));
  }

  Coefficient<const T> view() const {
    return {gain_ ? projected_.data() : given_, rows, (of_sets ? sets : 1) * heads, of_sets ? heads : 0};
  }

  // The gradient of what is stored, from that of coefficient i.
  T pulled_back(int64_t i, T grad) const {
    if (!gain_) return grad;
    const T u = given_[i] * gain_, rest = 1 - point(i);
    if ((u <= low_ && grad > 0) || (u >= high_ && grad < 0)) return 0;
    return bounded(gain_ * (kind_ == Kind::share ? grad : grad / (rest * rest)));
  }

  const int64_t rows, sets, heads;
  const bool of_sets;

 private:
  T point(int64_t i) const {
    const T u = given_[i] * gain_;
    return u < low_ ? low_ : u > high_ ? high_ : u;
  }

  const Kind kind_;
  const T gain_, low_, high_;
  const T* given_;
  std::vector<T> projected_;
};

// The gradient of a table: the kernels leave one of every set.
template <class T> class Adjoint {
 public:
  explicit Adjoint(const Table<T>& table) : table_(table), each_(table.rows * table.sets * table.heads) {}

  Coefficient<T> each() { return {each_.data(), table_.rows, table_.sets * table_.heads, table_.heads}; }

  void write(const torch::stable::Tensor& to) const {
    T* grad = static_cast<T*>(to.mutable_data_ptr());
    for (int64_t i = 0, count = to.numel(); i < count; ++i) {
      const T* first = each_.data() + (table_.of_sets ? i : i / table_.heads * table_.sets * table_.heads + i % table_.heads);
      grad[i] = table_.pulled_back(i, table_.of_sets ? *first : sum_over_sets(first, table_.sets, table_.heads));
    }
  }

 private:
  const Table<T>& table_;
  std::vector<T> each_;
};

}  // namespace uotp
