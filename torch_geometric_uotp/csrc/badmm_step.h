// Bregman ADMM on one set and head: the recursion of an element, which both directions walk.
//
// Everything is relative to alpha0, logarithms are to the base 2, brackets belong to the quadratic regulariser. From log S = log q0 + log p0
// and Z = 0, a step is
//
//   (1)  M_nd = log S_nd + (t x_nd - [S_nd]) / rho
//   (2)  pi_nd = e^{M_nd - Z_nd / rho - r_d},          P_nd = pi_nd mu_d,      r_d = LSE_n,  log mu_d = r_d + u_d
//   (3)  omega_nd = e^{theta (M_nd + u_d) - [P_nd / rho] - c_n},  S_nd = omega_nd eta_n,  c_n = LSE_d,  log eta_n = c_n + v_n
//   (4)  Z_nd <- Z_nd + rho (P_nd - S_nd)
//
// with theta = rho / (1 + rho), or [1], and the potentials u_d = s_p (log p0_d - r_d) and v_n = s_q (log q0_n - c_n), less the logarithm of
// the mass. So r, c and the masses of the steps are all that has to be kept: an element's state follows from its score.
// With the entropy Z drops out of (3) and M is linear in the score:
//
//   (5)  M_nd = slope x_nd + A_d + B_n,   slope' = theta slope + t / rho,  A' = theta (A + u),  B' = theta B + v
#pragma once
#include "block.h"

namespace uotp {
namespace UOTP_ISA {

// A logarithm that stands for nothing beside any other, and can be subtracted from each: a quarter of the lowest number.
template <class T> constexpr T kNever = -Format<T>::largest / 4;

template <class T> UOTP_INLINE Vec<T> log2(Vec<T> x) { return log<T>(x) * Format<T>::log2e; }

// A running log-sum-exp2.
template <class T> struct LogSum {
  Vec<T> most = splat(kNever<T>), mass{};

  // The factors of what was summed up here and in the other.
  struct Factors { Vec<T> mine, theirs; };
  Factors merge(const LogSum& other) {
    const Vec<T> next = maximum<T>(most, other.most);
    const Factors factors{exp2_down<T>(most - next), exp2_down<T>(other.most - next)};
    mass = mass * factors.mine + other.mass * factors.theirs, most = next;
    return factors;
  }
  void keep(T* part, int64_t stride) const { store(part, most), store(part + stride, mass); }
  static LogSum at(const T* part, int64_t stride) { return {load(part), load(part + stride)}; }
};

// The same and, weighted alike, the mean of values, as that of offsets from an anchor: the value of the node with the largest weight.
template <class T> struct LogMean {
  static constexpr int64_t numbers = 4;
  LogSum<T> sum;
  Vec<T> moment{}, anchor{};

  void merge(const LogMean& other) {
    const Vec<T> chosen = other.sum.most > sum.most ? other.anchor : anchor;
    const Vec<T> mine = moment + sum.mass * (anchor - chosen), theirs = other.moment + other.sum.mass * (other.anchor - chosen);
    const auto factors = sum.merge(other.sum);
    moment = mine * factors.mine + theirs * factors.theirs, anchor = chosen;
  }
  void keep(T* part, int64_t stride) const {
    sum.keep(part, stride), store(part + 2 * stride, moment), store(part + 3 * stride, anchor);
  }
  static LogMean at(const T* part, int64_t stride) { return {LogSum<T>::at(part, stride), load(part + 2 * stride), load(part + 3 * stride)}; }
  Vec<T> mean() const { return anchor + moment / sum.mass; }
};

// The coefficients of a step, and what they are used as.
template <class T> struct BadmmStep {
  T t, rho, r_p, r_q;
  T weight, theta, s_p, s_q;  // weight: of the entropy in the step for S
  T score, dual;              // of x and of Z in (1) and (2)
  T slope;                    // (5)
};

template <class T> inline T share(T fidelity, T weight) { return fidelity / (weight * (1 - fidelity) + fidelity); }

template <class S, class T> inline BadmmStep<T> badmm_step(const Badmm<S, T>& problem, const Rows<S, T>& rows, int64_t k, const BadmmStep<T>* before) {
  const auto of = [&](const Coefficient<const T>& c) { return c.at(k, rows.set, rows.head); };
  const T t = of(problem.t), rho = of(problem.rho), r_p = of(problem.r_p), r_q = of(problem.r_q);
  const T weight = problem.quadratic ? rho : 1 + rho, theta = problem.quadratic ? T(1) : rho / (1 + rho), score = t / rho * Format<T>::log2e;
  return {t, rho, r_p, r_q, weight, theta, share(r_p, rho), share(r_q, weight), score, Format<T>::log2e / rho, before ? before->theta * before->slope + score : score};
}

// Numbers a channel, [padded] for every step.
template <class T> struct BadmmChannels {
  int64_t padded;
  T *log_p0, *r, *u, *mu, *a;
  T* at(T* of, int64_t step) const { return of + step * padded; }
};

// Numbers a node, [stride] for every step.
template <class T> struct BadmmNodes {
  T *log_q0, *c, *v, *eta, *b;
  int64_t stride;
  T* at(T* of, int64_t step) const { return of + step * stride; }
  BadmmNodes of(int64_t first) const { return {log_q0 + first, c + first, v + first, eta + first, b + first, stride}; }
};

// Numbers between the tiles of some rows: one a row more than they hold, since tiles a power of two apart would share places in the cache.
template <class S, class T> inline int64_t tile_size(const Rows<S, T>& rows, int64_t count) { return round_up(count, W<T>) * (rows.padded + 1); }

// What an element is between steps, in tiles of a block: its Z and, with the quadratic regulariser, its M.
template <class T> struct BadmmState {
  T *z, *m;
  static int64_t tiles(bool quadratic) { return quadratic ? 2 : 1; }
  static BadmmState at(T* memory, int64_t tile) { return {memory, memory + tile}; }
};

template <class S, class T, bool quadratic> class BadmmRecursion {
 public:
  BadmmRecursion(const Badmm<S, T>& problem, const Rows<S, T>& rows)
      : problem(problem), rows(rows), steps(problem.batch.steps), likeliest(uotp::UOTP_ISA::likeliest(problem.batch, rows)), centre(offset()) {}

  // Cuts what it needs out of the set's memory.
  void carve(Carver<T>& carver) {
    coefficient = reinterpret_cast<BadmmStep<T>*>(carver.take(steps * int64_t(sizeof(BadmmStep<T>) / sizeof(T))));
    channels = {rows.padded, carver.take(rows.padded), carver.take((steps + 1) * rows.padded), carver.take(steps * rows.padded),
                carver.take(steps * rows.padded), carver.take((steps + 1) * rows.padded)};
    masses = carver.take(steps);
    const int64_t count = round_up(rows.count, W<T>);
    nodes = {carver.take(count), carver.take(steps * count), carver.take(steps * count), carver.take(steps * count), carver.take((steps + 1) * count), count};
  }

  void start() {
    for (int64_t k = 0; k < steps; ++k) coefficient[k] = badmm_step(problem, rows, k, k ? coefficient + k - 1 : nullptr);
    for_columns<T>(rows.width, [&](int64_t at, int lanes) {
      const Vec<T> log_p0 = first<T>(lanes) ? channel_prior(problem.batch, rows, at, lanes) * Format<T>::log2e : splat(kNever<T>);
      store(channels.log_p0 + at, log_p0), store(channels.a + at, log_p0);
    });
  }

  // u, mu and the next A of a step whose r is there.
  UOTP_FLATTEN void set_channels(int64_t k) const {
    const BadmmStep<T>& step = coefficient[k];
    const T* r = channels.at(channels.r, k);
    LogSum<T> total;
    const auto share = [&](int64_t at) { return load(r + at) + step.s_p * (load(channels.log_p0 + at) - load(r + at)); };
    for_columns<T>(rows.width, [&](int64_t at, int lanes) { total.merge({first<T>(lanes) ? share(at) : splat(kNever<T>), splat(T(1))}); });
    const T mass = whole(total);
    for_columns<T>(rows.width, [&](int64_t at, int lanes) {
      const Vec<T> u = first<T>(lanes) ? step.s_p * (load(channels.log_p0 + at) - load(r + at)) - mass : splat(kNever<T>);
      store(channels.at(channels.u, k) + at, u);
      store(channels.at(channels.mu, k) + at, first<T>(lanes) ? exp2_down<T>(share(at) - mass) : Vec<T>{});
      store(channels.at(channels.a, k + 1) + at, step.theta * (load(channels.at(channels.a, k) + at) + u));
    });
  }

  // The nodes of a block before the first step.
  void start_nodes(const Block<S, T>& block) const {
    const BadmmNodes<T> of = nodes.of(block.first);
    PerNode<T> log_q0;
    node_prior(problem.batch, block, log_q0);
    for (int i = 0; i < block.count; i += W<T>) {
      const Vec<T> prior = load(log_q0.value + i) * Format<T>::log2e;
      store(of.log_q0 + i, prior), store(of.b + i, prior);
    }
  }

  // v, eta and the next B of a step whose c and mass are there.
  UOTP_FLATTEN void set_nodes(const Block<S, T>& block, int64_t k, const T* node_log_sums) const {
    const BadmmStep<T>& step = coefficient[k];
    const BadmmNodes<T> of = nodes.of(block.first);
    const T* sums = node_log_sums + k * problem.batch.ptr[problem.batch.sets] * rows.heads();
    for (int i = 0; i < block.count; ++i) of.at(of.c, k)[i] = sums[block.node(i)];
    for (int i = 0; i < block.count; i += W<T>) {
      const Vec<T> c = load(of.at(of.c, k) + i), slack = load(of.log_q0 + i) - c, v = step.s_q * slack - masses[k];
      store(of.at(of.v, k) + i, v), store(of.at(of.eta, k) + i, exp2_down<T>(node_share(step, c, slack) - masses[k]));
      store(of.at(of.b, k + 1) + i, step.theta * load(of.at(of.b, k) + i) + v);
    }
  }

  // The logarithm of what a node gets of S, before it is divided by its mass; rounded alike wherever it is used.
  static UOTP_INLINE Vec<T> node_share(const BadmmStep<T>& step, Vec<T> c, Vec<T> slack) { return c + step.s_q * slack; }

  // (1) before the first step.
  UOTP_FLATTEN void begin(const Block<S, T>& block, const BadmmState<T>& state) const {
    const T* log_q0 = nodes.log_q0 + block.first;
    for_elements(block, [&](int64_t at, int lanes) {
      const Vec<T> log_p0 = load(channels.log_p0 + at);
      return [&, at, lanes, log_p0](int i, int64_t place) {
        store(state.z + place, Vec<T>{});
        if (quadratic) store(state.m + place, coefficient[0].score * score(block, i, at, lanes) + prior_less_mass(log_p0 + log_q0[i]));
      };
    });
  }
  Vec<T> prior_less_mass(Vec<T> log_s) const { return log_s - coefficient[0].dual * exp2_down<T>(log_s); }

  // (2) to (4), and (1) of the next step; pi and omega are stored for who asks.
  template <bool weights> UOTP_FLATTEN void advance(const Block<S, T>& block, int64_t k, const BadmmState<T>& state, T* pi_tile, T* omega_tile) const {
    const BadmmStep<T> step = coefficient[k], next = coefficient[k + 1];
    const BadmmNodes<T> of = nodes.of(block.first);
    const T *c = of.at(of.c, k), *eta = of.at(of.eta, k), *v = of.at(of.v, k), *b = of.at(of.b, k);
    for_elements(block, [&](int64_t at, int lanes) {
      const Vec<T> r = load(channels.at(channels.r, k) + at), mu = load(channels.at(channels.mu, k) + at);
      const Vec<T> a = load(channels.at(channels.a, k) + at), next_a = load(this->next(k) + at);
      return [&, at, lanes, r, mu, a, next_a](int i, int64_t place) {
        const Vec<T> x = score(block, i, at, lanes), z = load(state.z + place), m = this->m(state, step, place, x, a, b[i]);
        const Vec<T> pi = exp2_down<T>(m - step.dual * z - r), p = pi * mu;
        const Vec<T> y = kernel(step, m, x, p, next_a, b[i]), omega = exp2_down<T>(y - c[i]), s = omega * eta[i];
        store(state.z + place, z + step.rho * (p - s));
        if (quadratic) store(state.m + place, y + v[i] + (next.score * x - next.dual * s));
        if (weights) store(pi_tile + place, pi), store(omega_tile + place, lanes == W<T> ? omega : first<T>(lanes) ? omega : Vec<T>{});
      };
    });
  }

  // f(column, lanes)(row, place in a tile) over the elements of a block, a column of vectors at a time: what f takes from a channel stays in registers.
  template <class F> UOTP_INLINE void for_elements(const Block<S, T>& block, F f) const {
    for_columns<T>(rows.width, [&](int64_t at, int lanes) {
      const auto element = f(at, lanes);
      for (int i = 0; i < block.count; ++i) element(i, i * rows.padded + at);
    });
  }

  UOTP_INLINE Vec<T> score(const Block<S, T>& block, int i, int64_t at, int lanes) const { return load(block.row(problem.batch.scores, i) + at, lanes) - centre; }

  // M of an element of step k.
  UOTP_INLINE Vec<T> m(const BadmmState<T>& state, const BadmmStep<T>& step, int64_t place, Vec<T> x, Vec<T> a, T b) const {
    return quadratic ? load(state.m + place) : step.slope * x + (a + b);
  }

  // The exponent in (3), but for c. `next`: the channel's A of the next step, or [u].
  static UOTP_INLINE Vec<T> kernel(const BadmmStep<T>& step, Vec<T> m, Vec<T> x, Vec<T> p, Vec<T> next, T b) {
    return quadratic ? (m + next) - step.dual * p : step.theta * step.slope * x + (next + step.theta * b);
  }
  const T* next(int64_t k) const { return quadratic ? channels.at(channels.u, k) : channels.at(channels.a, k + 1); }

  // What a vector of log-sums amounts to.
  static T whole(const LogSum<T>& lanes) {
    const T most = largest<T>(lanes.most);
    return most + log2<T>(splat(sum<T>(lanes.mass * exp2_down<T>(lanes.most - most))))[0];
  }

  const S* values() const { return problem.batch.values ? problem.batch.values : problem.batch.scores; }

  // What all scores of a node exceed 0 by: no output sees a constant, but the exponents' last places do. Of the likeliest node or, under a
  // uniform prior, the median of three: what is far from the other nodes would cost them their places.
  T offset() const {
    if (problem.batch.log_q0 || !rows.count) return rows.count ? offset_of(likeliest) : T(0);
    const T a = offset_of(0), b = offset_of(rows.count / 2), c = offset_of(rows.count - 1), low = smaller(a, b), high = larger(a, b);
    return larger(low, smaller(high, c));
  }
  T offset_of(int64_t n) const {
    Extremes<T> seen;
    seen.see(Block<S, T>(rows, n, n + 1), problem.batch.scores);
    const T low = seen.lowest(), high = seen.highest();
    return !seen.finite() ? T(0) : low > 0 ? low : high < 0 ? high : T(0);
  }

  const Badmm<S, T>& problem;
  const Rows<S, T>& rows;
  const int64_t steps, likeliest;
  const T centre;
  BadmmStep<T>* coefficient;
  BadmmChannels<T> channels;
  BadmmNodes<T> nodes;
  T* masses;
};

// What is kept of a set, [K - 1, G, heads] and [K + 1, G, D].
template <class S, class T, class P> inline P* of_step(const Badmm<S, T>& problem, const Rows<S, T>& rows, P* channel_log_sums, int64_t step) {
  return rows.of_set(channel_log_sums + step * problem.batch.sets * rows.stride);
}
template <class S, class T, class P> inline P& mass_of(const Badmm<S, T>& problem, const Rows<S, T>& rows, P* masses, int64_t step) {
  return masses[(step * problem.batch.sets + rows.set) * rows.heads() + rows.head];
}

}  // namespace UOTP_ISA
}  // namespace uotp
