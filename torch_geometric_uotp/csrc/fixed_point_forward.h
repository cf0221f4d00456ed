// Annealed Newton iteration for one set and head (solvers/newton.py, whose rules and numbers these are): channel potentials a with a = T(a),
// where T is a Sinkhorn step. From t / 2^k the problem is solved coarsely and t doubled, each start extrapolated from the two solutions
// before. A step solves S v = p (T(a) - a) inexactly; one that fails is undone and plain steps are taken instead.
#pragma once
#include "fixed_point_set.h"

namespace uotp {
namespace UOTP_ISA {

template <class T> struct Annealing {
  static constexpr T soft = 32, cheap = 4, stage = T(.25), reach = 3, coarse = T(.5), allowance = 4, fast = T(.1), roundings = 8;
};

template <class T> class FixedPointForwardSet {
 public:
  using Rule = Annealing<T>;

  FixedPointForwardSet(const FixedPoint<T>& problem, const FixedPointForward<T>& out, const Rows<T, T>& rows, const Parallel* parallel)
      : problem_(problem), out_(out), rows_(rows), set_(problem.batch, rows, parallel), weights_(weights_of(problem, rows)) {
    T* memory = nullptr;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      set_.take(carver);
      next_ = carver.take(rows.padded), gap_ = carver.take(rows.padded), best_next_ = carver.take(rows.padded);
      earlier_ = carver.take(rows.padded), v_ = carver.take(rows.padded), extremes_ = carver.take(rows.chunks() * 3 * W<T>);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
    start(parallel);
  }

  void solve() {
    for (;;) {
      sweep();
      const bool solved = !(residual_ >= goal());  // what is no number will never be one
      if (scale_ == 1 && (solved || steps_ >= problem_.max_steps)) return finish(solved);
      const bool late = steps_ >= patience_, slow = residual_ >= Rule::fast * last_;
      if (prelude_ && slow) begin(softest_);
      else if (scale_ < 1 && (solved || late)) raise(late ? T(1) : smaller_of(T(1), 2 * scale_));
      else if (tried_ && residual_ > best_ * allowance_) undo();
      else judge(), late || plain_ || !slow ? plain_step() : newton_step();
    }
  }

  static Weights<T> weights_of(const FixedPoint<T>& problem, const Rows<T, T>& rows) {
    const auto at = [&](const Coefficient<const T>& c) { return c.at(0, rows.set, rows.head); };
    return {at(problem.t), at(problem.r_p), at(problem.r_q)};
  }

 private:
  static T smaller_of(T a, T b) { return a < b ? a : b; }
  static T larger_of(T a, T b) { return a > b ? a : b; }

  void start(const Parallel* parallel) {
    const Extremes<T> seen = see(parallel);
    const T sharpness = seen.finite() ? weights_.t * (seen.highest() - seen.lowest()) : 0, rate = weights_.rate();
    tol_ = larger_of(problem_.tol, Rule::roundings * T(__DBL_EPSILON__) * sharpness);
    plan(sharpness, rate);
    begin(1);
    prelude_ = softest_ < 1;
  }

  // The scale to start annealing from, and when to go on with plain steps. A plain step multiplies the residual by r_p r_q at most,
  // which says how many of them are enough.
  void plan(T sharpness, T rate) {
    const int64_t half = problem_.max_steps / 2;
    const T most = larger_of(4, T(half)), enough = rate < 1 && sharpness > 0 ? T(__builtin_log(tol_ / sharpness) / __builtin_log(rate)) : most;
    int64_t halvings = 0;
    const bool finite = rate * sharpness < Format<T>::infinity;
    for (T soft = rate * sharpness; problem_.max_steps >= 16 && finite && soft > Rule::soft; soft /= 2) ++halvings;
    const bool cheap = halvings && rate < 1 && enough <= Rule::cheap * halvings;
    softest_ = 1, patience_ = cheap ? T(0) : larger_of(4, smaller_of(enough, most));
    for (int64_t left = cheap ? 0 : smaller(halvings, half / 2); left; --left) softest_ /= 2;
  }

  // From a = 0, with a plain step first.
  void begin(T scale) {
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(set_.a + at, Vec<T>{}), store(earlier_ + at, Vec<T>{});
    scale_ = scale, earlier_scale_ = 0, prelude_ = false;
    enter_stage();
    last_ = Format<T>::infinity;
  }

  Extremes<T> see(const Parallel* parallel) const {
    for_chunks(rows_, parallel, [&](int64_t chunk, int64_t begin, int64_t end) {
      Extremes<T> seen;
      for_blocks(rows_, begin, end, [&](const Block<T, T>& block) { seen.see(block, problem_.batch.scores); });
      seen.put(extremes_ + chunk * 3 * W<T>);
    });
    Extremes<T> seen;
    for (int64_t chunk = 0; chunk < rows_.chunks(); ++chunk) seen.add(extremes_ + chunk * 3 * W<T>);
    return seen;
  }

  void enter_stage() {
    best_ = Format<T>::infinity, last_ = 0, plain_ = 0, penalty_ = 1, allowance_ = Rule::allowance, reach_ = Rule::reach, tried_ = false;
  }

  T goal() const { return scale_ == 1 ? tol_ : larger_of(tol_, smaller_of(1, Rule::stage / T(__builtin_sqrt(scale_)))); }

  // T(a), the gap to it less its mean over p, and half the gap's range.
  void sweep() {
    const Weights<T> weights = weights_.softer(scale_);
    set_.form(weights, false), set_.node_sums(next_);
    Vec<T> low = splat(Format<T>::infinity), high = -low, mass{}, moment{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> next = weights.r_p * (channel_prior(problem_.batch, rows_, at, lanes) - load(next_ + at)), gap = next - load(set_.a + at);
      store(next_ + at, first<T>(lanes) ? next : Vec<T>{}), store(gap_ + at, first<T>(lanes) ? gap : Vec<T>{});
      low = minimum<T>(low, first<T>(lanes) ? gap : low), high = maximum<T>(high, first<T>(lanes) ? gap : high);
      mass += load(set_.p + at), moment += load(set_.p + at) * load(gap_ + at);
    });
    const T mean = sum<T>(moment) / sum<T>(mass);
    // A mean that is no number gives this residual away; minima and maxima might pass over what is none.
    residual_ = (largest<T>(high) + largest<T>(-low)) / 2 + (mean - mean);
    fill(gap_, rows_.width, [&](int64_t at, int) { return load(gap_ + at) - mean; });
    ++steps_;
  }

  void judge() {
    const bool better = residual_ < best_;
    if (better) best_ = residual_, copy(next_, best_next_);
    allowance_ = better ? Rule::allowance : allowance_ / 2;
    if (better && tried_) reach_ *= 2;
  }

  void plain_step() {
    copy(next_, set_.a);
    last_ = residual_, tried_ = false, plain_ -= plain_ > 0;
  }

  void newton_step() {
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(next_ + at, load(set_.p + at) * load(gap_ + at));
    const T accuracy = larger_of(smaller_of(Rule::coarse, T(__builtin_sqrt(residual_))), T(.3) * goal() / residual_);
    steps_ += set_.solve(next_, v_, accuracy, (scale_ == 1 ? problem_.max_steps : int64_t(patience_)) - 1 - steps_);
    Vec<T> far{};
    for (int64_t at = 0; at < rows_.padded; at += W<T>) {
      // Without mass a channel has no part in the system, and simply follows.
      const Vec<T> v = load(set_.p + at) > Vec<T>{} ? load(v_ + at) : load(gap_ + at);
      store(v_ + at, v), far = maximum<T>(far, maximum<T>(v, -v));
    }
    const T farthest = largest<T>(far), part = farthest > reach_ ? reach_ / farthest : 1;
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(set_.a + at, load(set_.a + at) + part * load(v_ + at));
    last_ = 0, tried_ = true;
  }

  void undo() {
    copy(best_next_, set_.a);
    last_ = 0, tried_ = false, plain_ = penalty_, penalty_ *= 2, reach_ = Rule::reach;
  }

  // Without a stage before, potentials grow with t.
  void raise(T scale) {
    const T ahead = (scale - scale_) / (scale_ - earlier_scale_);
    for (int64_t at = 0; at < rows_.padded; at += W<T>) {
      const Vec<T> next = load(next_ + at);
      store(set_.a + at, next + ahead * (next - load(earlier_ + at))), store(earlier_ + at, next);
    }
    earlier_scale_ = scale_, scale_ = scale;
    enter_stage();
  }

  void copy(const T* from, T* to) const {
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(to + at, load(from + at));
  }

  void finish(bool solved) {
    const int64_t at = rows_.set * rows_.heads() + rows_.head;
    out_.solved[at] = solved, out_.steps[at] = steps_;
    for (int64_t n = 0; n < rows_.count; ++n) out_.bias[rows_.node(n) * rows_.heads() + rows_.head] = set_.b[n];
    set_.weigh([&](int64_t at, int lanes, const LogColumns<T>& sum) { store(rows_.of_set(out_.pooled) + at, sum.mean(), lanes); });
  }

  const FixedPoint<T>& problem_;
  const FixedPointForward<T>& out_;
  const Rows<T, T>& rows_;
  FixedPointSet<T> set_;
  const Weights<T> weights_;
  T *next_, *gap_, *best_next_, *earlier_, *v_, *extremes_;
  T tol_, scale_, patience_, residual_, best_, last_, allowance_, reach_, earlier_scale_, softest_;
  int64_t steps_ = 0, plain_, penalty_;
  bool tried_, prelude_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
