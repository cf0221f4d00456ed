// The adjoint of badmm_forward.h, from what it kept: pi and omega of every step are formed anew in one walk over the elements.
//
// T is known only after the sweep that forms (7), but (9) is linear in it. So one sweep a step is enough: (8) to (11) of a step are taken
// together with (7) of the one before (badmm_elements.h).
#pragma once
#include "badmm_elements.h"
#include "badmm_forward.h"

namespace uotp {
namespace UOTP_ISA {

// f(true or false, as a type)
template <class F> inline void either(bool which, F f) { which ? f(std::true_type{}) : f(std::false_type{}); }

template <class S, class T, bool quadratic> class BadmmBackwardSet {
  using Recursion = BadmmRecursion<S, T, quadratic>;

 public:
  BadmmBackwardSet(const Badmm<S, T>& problem, const BadmmBackward<S, T>& io, const Rows<S, T>& rows, const Parallel* parallel)
      : io_(io), rows_(rows), parallel_(parallel), of_(problem, rows), last_(of_.steps - 1) {
    const bool held = tile_size(rows, rows.count) * tiles() <= kState;
    T* memory = nullptr;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      of_.carve(carver);
      mean_ = carver.take(rows.padded), grad_ = carver.take(rows.padded), d_u_ = carver.take(rows.padded);
      d_r_ = carver.take(of_.steps * rows.padded), total_ = carver.take(of_.steps);
      d_v_ = carver.take(round_up(rows.count, W<T>));
      partial_ = carver.take(rows.chunks() * part());
      held_ = carver.take(held ? tile_size(rows, rows.count) * tiles() : 0);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
    if (!held) held_ = nullptr;
  }

  void solve() {
    start();
    for (int64_t k = last_; k >= 0; --k) {
      sweep(k);
      gather(k);
      if (k) set_adjoints(k - 1);
    }
  }

 private:
  int64_t tiles() const { return 2 * last_ + 4; }

  // What a chunk adds up: two numbers a channel for (9), then vectors.
  enum Sum { kTotal, kSlack, kSlackEta, kT, kRho, kSums };
  int64_t part() const { return 2 * rows_.padded + kSums * W<T>; }
  T* sum_of(T* part, Sum which) const { return part + 2 * rows_.padded + which * W<T>; }

  void start() {
    of_.start();
    for (int64_t k = 0; k <= of_.steps; ++k) {
      for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
        store(of_.channels.at(of_.channels.r, k) + at, load(of_step(of_.problem, rows_, io_.kept.channel_log_sums, k) + at, lanes));
      });
      if (k >= last_) continue;
      of_.masses[k] = mass_of(of_.problem, rows_, io_.kept.masses, k);
      of_.set_channels(k);
    }
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      store(mean_ + at, load(rows_.of_set(io_.kept.pooled) + at, lanes) - (io_.d_values ? T(0) : of_.centre)), store(grad_ + at, load(rows_.of_set(io_.grad) + at, lanes));
    });
  }

  // (8) to (11) of step k and (7) of the one before; (6) in place of the former if k is the last.
  void sweep(int64_t k) {
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* part = partial_ + chunk * this->part();
      for (int64_t i = 0; i < this->part(); i += W<T>) store(part + i, Vec<T>{});
      T* memory = held_ ? nullptr : block_scratch().template at_least<T>(tiles() * tile_size(rows_, block_rows(rows_)));
      for_blocks(rows_, begin, end, [&](const Block<S, T>& block) {
        const BadmmTiles<T> tiles{held_ ? held_ + tile_size(rows_, block.first) * this->tiles() : memory, tile_size(rows_, block.count), last_};
        if (k == last_) start_nodes(block);
        for (int64_t j = held_ ? k : last_; j >= k; --j) retreat(block, of_.nodes.of(block.first), tiles, j, j == k, part);
      });
    });
  }

  void start_nodes(const Block<S, T>& block) const {
    of_.start_nodes(block);
    for (int64_t j = 0; j < last_; ++j) of_.set_nodes(block, j, io_.kept.node_log_sums);
  }

  // `own`: the sums are wanted, not just the elements.
  void retreat(const Block<S, T>& block, const BadmmNodes<T>& nodes, const BadmmTiles<T>& tiles, int64_t k, bool own, T* part) {
    PerNode<T> d_c, d_v;
    if (k < last_) {
      node_adjoints(block, nodes, k, own, d_c);
    } else {
      of_.begin(block, tiles.state());
      for (int64_t j = 0; j < last_; ++j) of_.template advance<true>(block, j, tiles.state(), tiles.pi(j), tiles.omega(j));
    }
    either(k == last_, [&](auto is_last) {
      either(!k, [&](auto is_first) {
        either(of_.problem.rho.rows == 1, [&](auto shares_rho) { elements<is_last, is_first, shares_rho>(block, nodes, tiles, k, own, d_c, d_v, part); });
      });
    });
    if (k) enter_nodes(block, nodes, tiles, k - 1, own, d_v, part);
    else if (own) leave_nodes(block, tiles, d_v, part);
  }

  template <bool is_last, bool is_first, bool shares_rho>
  UOTP_FLATTEN void elements(const Block<S, T>& block, const BadmmNodes<T>& nodes, const BadmmTiles<T>& tiles, int64_t k, bool own, const PerNode<T>& d_c, PerNode<T>& d_v, T* part) {
    const BadmmElements<S, T, quadratic, shares_rho> pass(of_, tiles, nodes, k, of_.channels.at(d_r_, k), grad_, mean_, io_.d_scores, io_.d_values);
    Vec<T> d_t{}, d_rho{};
    for (int from = 0; from < block.count; from += W<T>) {
      Vec<T> row[W<T>]{};
      for (int i = from; i < smaller(from + W<T>, block.count); ++i) {
        Vec<T> total{};
        for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
          const Vec<T> x = of_.score(block, i, at, lanes);
          const Vec<T> d_m = is_last ? pass.output(block, i, at, lanes, x, d_rho) : pass.step(i, at, d_c[i], x, d_rho);
          d_t += x * d_m;
          total += is_first ? pass.leave(block, i, at, lanes, d_m, d_rho) : pass.enter(i, at, d_m, d_rho);
        });
        row[i - from] = total;
      }
      store(d_v.value + from, sums<T>(row));
    }
    if (own) add(sum_of(part, kT), d_t), add(sum_of(part, kRho), d_rho);
  }

  // (8), and log q0's adjoint.
  void node_adjoints(const Block<S, T>& block, const BadmmNodes<T>& nodes, int64_t k, bool own, PerNode<T>& d_c) const {
    const BadmmStep<T>& step = of_.coefficient[k];
    const T total = total_[k];
    for (int i = 0; i < block.count; i += W<T>) {
      const Vec<T> d_v = load(d_v_ + block.first + i), of_mass = load(nodes.at(nodes.eta, k) + i) * total;
      store(d_c.value + i, -step.s_q * d_v - (1 - step.s_q) * of_mass);
    }
    if (own && io_.d_log_q0)
      for (int i = 0; i < block.count; ++i) io_.d_log_q0[block.node(i)] += step.s_q * (d_v_[block.first + i] - nodes.at(nodes.eta, k)[i] * total);
  }

  // The block's share of T, of (9) and of s_q's adjoint.
  UOTP_FLATTEN void enter_nodes(const Block<S, T>& block, const BadmmNodes<T>& nodes, const BadmmTiles<T>& tiles, int64_t k, bool own, PerNode<T>& d_v, T* part) {
    const BadmmStep<T>& step = of_.coefficient[k];
    for (int i = 0; i < block.count; i += W<T>) store(d_v_ + block.first + i, load(d_v.value + i));
    if (!own) return;
    const T inverse = 1 / step.rho, its_slack = slack_of_likeliest(k);
    for (int i = 0; i < block.count; i += W<T>) {
      const auto there = first<T>(block.count - i);
      const Vec<T> slack = there ? load(nodes.log_q0 + i) - load(nodes.at(nodes.c, k) + i) - its_slack : Vec<T>{}, adjoint = there ? load(d_v.value + i) : Vec<T>{};
      add(sum_of(part, kTotal), adjoint), add(sum_of(part, kSlack), slack * adjoint);
      add(sum_of(part, kSlackEta), there ? slack * load(nodes.at(nodes.eta, k) + i) : Vec<T>{});
      store(d_v.value + i, -step.s_q * adjoint);
    }
    const T *eta = nodes.at(nodes.eta, k), *pi = tiles.pi(k), *omegas = tiles.omega(k), *zeta = tiles.zeta(), *g = tiles.g();
    const T rho = step.rho, theta = step.theta;
    for_columns<T>(rows_.padded, [&](int64_t at, int) {
      const Vec<T> mu = load(of_.channels.at(of_.channels.mu, k) + at);
      Vec<T> sum{}, of_total{};
      for (int i = 0; i < block.count; ++i) {
        const int64_t place = i * rows_.padded + at;
        const Vec<T> p = load(pi + place) * mu, omega = load(omegas + place), s = omega * eta[i];
        const Vec<T> d_k = load(g + place) + omega * d_v[i], pull = rho * load(zeta + place);
        sum += p * (quadratic ? pull - inverse * d_k : pull) + theta * d_k;
        of_total += quadratic ? s - inverse * p * s : theta * s;
      }
      add(part + at, sum), add(part + rows_.padded + at, of_total);
    });
  }

  void leave_nodes(const Block<S, T>& block, const BadmmTiles<T>& tiles, const PerNode<T>& d_v, T* part) const {
    if (io_.d_log_q0)
      for (int i = 0; i < block.count; ++i) io_.d_log_q0[block.node(i)] += d_v[i];
    if (!io_.d_log_p0) return;
    for (int64_t at = 0; at < rows_.padded; at += W<T>)
      for (int i = 0; i < block.count; ++i) add(part + at, load(tiles.g() + i * rows_.padded + at));
  }

  T slack_of_likeliest(int64_t k) const {
    const int64_t node = rows_.node(of_.likeliest) * rows_.heads() + rows_.head;
    const T log_q0 = of_.problem.batch.log_q0 ? of_.problem.batch.log_q0[node] : rows_.uniform_q0;
    return log_q0 * Format<T>::log2e - io_.kept.node_log_sums[k * of_.problem.batch.ptr[of_.problem.batch.sets] * rows_.heads() + node];
  }

  T gathered(Sum which) const { return sum<T>(load(sum_of(partial_, which))); }

  // The adjoints of t and rho, whose sums over the elements are complete; after the last sweep that of log p0 too.
  void gather(int64_t k) {
    for (int64_t chunk = 1; chunk < rows_.chunks(); ++chunk)
      for (int64_t i = 0; i < part(); i += W<T>) add(partial_ + i, load(partial_ + chunk * part() + i));
    const BadmmStep<T>& step = of_.coefficient[k];
    const T d_t = gathered(kT) / step.rho;
    io_.d_t.at(k, rows_.set, rows_.head) += d_t;
    io_.d_rho.at(k, rows_.set, rows_.head) += gathered(kRho) - step.t / step.rho * d_t;
    if (!k && io_.d_log_p0) add_to_prior([&](int64_t at) { return load(partial_ + at); });
  }

  template <class F> void add_to_prior(F term) const {
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      T* to = rows_.of_set(io_.d_log_p0) + at;
      store(to, load(to, lanes) + term(at), lanes);
    });
  }

  // (9), and what goes from the potentials to r_p, r_q, rho and log p0. Adjoints of a step's u, and of its v, less the share of the mass,
  // add up to 0: slacks may be taken from one of them, which costs them no places.
  void set_adjoints(int64_t k) {
    const BadmmStep<T>& step = of_.coefficient[k];
    const T *mu = of_.channels.at(of_.channels.mu, k), *r = of_.channels.at(of_.channels.r, k), total = gathered(kTotal);
    Vec<T> all{}, slacks{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> d_u = load(partial_ + at) - (1 - step.s_q) * total * load(partial_ + rows_.padded + at);
      store(d_u_ + at, d_u);
      all += first<T>(lanes) ? d_u : Vec<T>{};
    });
    const T all_d_u = sum<T>(all), first_slack = of_.channels.log_p0[0] - r[0];
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> d_u = load(d_u_ + at), of_mass = load(mu + at) * all_d_u;
      store(of_.channels.at(d_r_, k) + at, -step.s_p * d_u - (1 - step.s_p) * of_mass);
      slacks += first<T>(lanes) ? (load(of_.channels.log_p0 + at) - load(r + at) - first_slack) * (d_u - of_mass) : Vec<T>{};
      store(d_u_ + at, step.s_p * (d_u - of_mass));
    });
    total_[k] = total;
    if (io_.d_log_p0) add_to_prior([&](int64_t at) { return load(d_u_ + at); });
    const T d_s_p = sum<T>(slacks) / Format<T>::log2e, d_s_q = (gathered(kSlack) - gathered(kSlackEta) * total) / Format<T>::log2e;
    add_share(d_s_p, step.r_p, step.rho, io_.d_r_p.at(k, rows_.set, rows_.head), k);
    add_share(d_s_q, step.r_q, step.weight, io_.d_r_q.at(k, rows_.set, rows_.head), k);
  }

  // Of `share`; the weight is rho, or 1 + rho.
  void add_share(T d_share, T fidelity, T weight, T& d_fidelity, int64_t k) const {
    const T denominator = weight * (1 - fidelity) + fidelity, scaled = d_share / (denominator * denominator);
    d_fidelity += scaled * weight;
    io_.d_rho.at(k, rows_.set, rows_.head) -= scaled * fidelity * (1 - fidelity);
  }

  const BadmmBackward<S, T>& io_;
  const Rows<S, T>& rows_;
  const Parallel* parallel_;
  Recursion of_;
  const int64_t last_;
  T *mean_, *grad_, *d_u_, *d_r_, *total_, *d_v_, *partial_, *held_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
