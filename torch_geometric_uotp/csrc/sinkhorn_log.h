// Sinkhorn on one set and head in the log domain: any finite scores and any t, at two exponentials an element and step.
// The formulas are (1) to (4) of the scaling form with u_nd = e^{t x_nd + a_d - LSE_d} and v_nd = e^{t x_nd + b_n - LSE_n}.
#pragma once
#include "sinkhorn_forward.h"

namespace uotp {
namespace UOTP_ISA {

// An infinite maximum is no offset: it would turn the exponentials of its own terms into NaN.
template <class T> inline Vec<T> offset(Vec<T> most) { return most == -Format<T>::infinity ? Vec<T>{} : most; }

// What both directions do with a block: the log-sum-exps over channels, and (1).
template <class S, class T> struct LogNodes {
  const Sinkhorn<S, T>& problem;
  const Rows<S, T>& rows;
  T t, r_q;
  T* a;

  LogNodes(const Sinkhorn<S, T>& problem, const Rows<S, T>& rows, int64_t step, T* a)
      : problem(problem), rows(rows), t(problem.t.at(step, rows.set, rows.head)), r_q(problem.r_q.at(step, rows.set, rows.head)), a(a) {}

  // a = r_p (log p0 - LSE_n) of the step before; 0 before the first.
  void set_channels(const T* log_sums, T r_p) {
    for_columns<T>(rows.width, [&](int64_t at, int lanes) {
      store(a + at, log_sums ? r_p * (channel_prior(problem.batch, rows, at, lanes) - load(log_sums + at, lanes)) : Vec<T>{});
    });
  }

  // t x + bias, rounded once, wherever it is used: a difference between two roundings would be one of the potentials.
  template <class B> UOTP_INLINE Vec<T> exponent(const Block<S, T>& block, int i, int64_t at, int lanes, B bias) const {
    return load(block.row(problem.batch.scores, i) + at, lanes) * t + bias;
  }

  // LSE_d(t x + a)
  T log_sum(const Block<S, T>& block, int i) const {
    Vec<T> row = splat(-Format<T>::infinity), total{};
    for_columns<T>(rows.width, [&](int64_t at, int lanes) {
      const Vec<T> y = exponent(block, i, at, lanes, load(a + at));
      row = maximum<T>(row, first<T>(lanes) ? y : row);
    });
    const T most = offset<T>(splat(largest<T>(row)))[0];
    for_columns<T>(rows.width, [&](int64_t at, int lanes) {
      const Vec<T> term = exp<T>(exponent(block, i, at, lanes, load(a + at)) - most);
      total += first<T>(lanes) ? term : Vec<T>{};
    });
    return most + log<T>(splat(sum<T>(total)))[0];
  }

  // (1), what it multiplies by r_q, log q0 - LSE_d, and LSE_d.
  void potentials(const Block<S, T>& block, PerNode<T>& b, PerNode<T>& slack, PerNode<T>& log_sums) const {
    node_prior(problem.batch, block, slack);
    for (int i = 0; i < block.count; ++i) {
      log_sums[i] = log_sum(block, i);
      slack[i] -= log_sums[i], b[i] = r_q * slack[i];
    }
  }
};

// A running log-sum-exp over nodes and, weighted alike, the mean of the values: four numbers a channel. The mean is that of offsets from
// an anchor, the value of the node with the largest weight.
template <class T> struct LogColumns {
  static constexpr int64_t numbers = 4;
  Vec<T> most, mass, moment, anchor;

  static LogColumns at(const T* part, int64_t padded) { return {load(part), load(part + padded), load(part + 2 * padded), load(part + 3 * padded)}; }
  void keep(T* part, int64_t padded) const {
    store(part, most), store(part + padded, mass), store(part + 2 * padded, moment), store(part + 3 * padded, anchor);
  }
  static LogColumns none() { return {splat(-Format<T>::infinity), Vec<T>{}, Vec<T>{}, Vec<T>{}}; }

  // A node of the block whose sums are to be formed: all of them are seen before any is added.
  UOTP_INLINE void see(Vec<T> exponent, Vec<T> value) {
    anchor = exponent > most ? value : anchor, most = maximum<T>(most, exponent);
  }
  UOTP_INLINE void add(Vec<T> exponent, Vec<T> value) {
    const Vec<T> weight = exp<T>(exponent - offset<T>(most));
    mass += weight, moment += weight * (value - anchor);
  }

  void merge(const LogColumns& other) {
    const Vec<T> next = offset<T>(maximum<T>(most, other.most)), mine = exp<T>(most - next), theirs = exp<T>(other.most - next);
    const Vec<T> chosen = other.most > most ? other.anchor : anchor;
    moment = (moment + mass * (anchor - chosen)) * mine + (other.moment + other.mass * (other.anchor - chosen)) * theirs;
    mass = mass * mine + other.mass * theirs, most = maximum<T>(most, other.most), anchor = chosen;
  }
  Vec<T> mean() const { return anchor + moment / mass; }
};

// Adds a block's nodes with potentials b to the sums of all columns, [LogColumns::numbers, padded].
template <class S, class T> void add_columns(const LogNodes<S, T>& nodes, const Block<S, T>& block, const PerNode<T>& b, T* part) {
  const Batch<S, T>& batch = nodes.problem.batch;
  const S* values = batch.values ? batch.values : batch.scores;
  const int64_t padded = block.rows.padded;
  for_columns<T>(block.rows.width, [&](int64_t at, int lanes) {
    LogColumns<T> block_sum = LogColumns<T>::none(), sum = LogColumns<T>::at(part + at, padded);
    const auto value = [&](int i) { return load(block.row(values, i) + at, lanes); };
    for (int i = 0; i < block.count; ++i) block_sum.see(nodes.exponent(block, i, at, lanes, b[i]), value(i));
    for (int i = 0; i < block.count; ++i) block_sum.add(nodes.exponent(block, i, at, lanes, b[i]), value(i));
    sum.merge(block_sum);
    sum.keep(part + at, padded);
  });
}

// The sums over all nodes of a set, whose potentials follow from a: f(block, its potentials) sees those of each block.
template <class S, class T, class F> void sum_columns(const LogNodes<S, T>& nodes, const Parallel* parallel, T* partial, F f) {
  const int64_t padded = nodes.rows.padded, part = LogColumns<T>::numbers * padded;
  for_chunks(nodes.rows, parallel, [&](int64_t chunk, int64_t begin, int64_t end) {
    for (int64_t at = 0; at < padded; at += W<T>) LogColumns<T>::none().keep(partial + chunk * part + at, padded);
    for_blocks(nodes.rows, begin, end, [&](const Block<S, T>& block) {
      PerNode<T> b, slack, log_sums;
      nodes.potentials(block, b, slack, log_sums);
      f(block, b);
      add_columns(nodes, block, b, partial + chunk * part);
    });
  });
  for (int64_t at = 0; at < padded; at += W<T>) {
    LogColumns<T> sum = LogColumns<T>::at(partial + at, padded);
    for (int64_t chunk = 1; chunk < nodes.rows.chunks(); ++chunk) sum.merge(LogColumns<T>::at(partial + chunk * part + at, padded));
    sum.keep(partial + at, padded);
  }
}

template <class S, class T> class SinkhornLogForwardSet {
 public:
  SinkhornLogForwardSet(const Sinkhorn<S, T>& problem, const SinkhornForward<S, T>& out, const Rows<S, T>& rows, const Parallel* parallel)
      : problem_(problem), out_(out), rows_(rows), parallel_(parallel) {
    T* memory = set_scratch().template at_least<T>((1 + LogColumns<T>::numbers * rows.chunks()) * rows.padded);
    a_ = memory, partial_ = memory + rows.padded;
  }

  void solve() {
    out_.centre[rows_.set * rows_.heads() + rows_.head] = T(__builtin_nan(""));
    for (int64_t step = 0; step < problem_.batch.steps; ++step) advance(step);
  }

 private:
  T* log_sums(int64_t step) const { return rows_.of_set(out_.log_sums + step * problem_.batch.sets * rows_.stride); }

  void advance(int64_t step) {
    LogNodes<S, T> nodes(problem_, rows_, step, a_);
    nodes.set_channels(step ? log_sums(step - 1) : nullptr, step ? problem_.r_p.at(step - 1, rows_.set, rows_.head) : T(0));
    const bool last = step + 1 == problem_.batch.steps;
    sum_columns(nodes, parallel_, partial_, [&](const Block<S, T>& block, const PerNode<T>& b) {
      for (int i = 0; last && i < block.count; ++i) out_.bias[block.node(i)] = b[i];
    });
    finish(step);
  }

  void finish(int64_t step) {
    const S* values = problem_.batch.values ? problem_.batch.values : problem_.batch.scores;
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const LogColumns<T> sum = LogColumns<T>::at(partial_ + at, rows_.padded);
      store(log_sums(step) + at, sum.most + log<T>(sum.mass), lanes);
      store(rows_.of_set(out_.pooled) + at, rows_.count == 1 ? load(rows_.row(values, 0) + at, lanes) : sum.mean(), lanes);
    });
  }

  const Sinkhorn<S, T>& problem_;
  const SinkhornForward<S, T>& out_;
  const Rows<S, T>& rows_;
  const Parallel* parallel_;
  T *a_, *partial_;
};

template <class S, class T> class SinkhornLogBackwardSet {
 public:
  SinkhornLogBackwardSet(const Sinkhorn<S, T>& problem, const SinkhornBackward<S, T>& io, const Rows<S, T>& rows, const Parallel* parallel)
      : problem_(problem), io_(io), rows_(rows), parallel_(parallel) {
    T* memory = nullptr;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      a_ = carver.take(rows.padded), a_adjoint_ = carver.take(rows.padded), mean_ = carver.take(rows.padded), d_a_ = carver.take(rows.padded);
      most_ = carver.take(rows.padded), share_ = carver.take(rows.padded), rest_ = carver.take(rows.padded);
      sums_ = carver.take(rows.chunks() * LogColumns<T>::numbers * rows.padded);
      partial_ = carver.take(rows.chunks() * part());
      staged_ = carver.take(kDirect<S, T> ? 0 : rows.count * rows.padded);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
  }

  void solve() {
    for (int64_t step = problem_.batch.steps - 1; step >= 0; --step) retreat(step);
  }

 private:
  int64_t part() const { return rows_.padded + 2 * W<T>; }
  bool is_output(int64_t step) const { return step + 1 == problem_.batch.steps; }
  const T* log_sums(int64_t step) const { return rows_.of_set(io_.log_sums + step * problem_.batch.sets * rows_.stride); }

  void retreat(int64_t step) {
    is_output(step) ? start_from_output() : start_from_channels(step);
    LogNodes<S, T> nodes(problem_, rows_, step, a_);
    nodes.set_channels(step ? log_sums(step - 1) : nullptr, step ? problem_.r_p.at(step - 1, rows_.set, rows_.head) : T(0));
    set_weights(nodes);
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* part = partial_ + chunk * this->part();
      for (int64_t i = 0; i < this->part(); i += W<T>) store(part + i, Vec<T>{});
      for_blocks(rows_, begin, end, [&](const Block<S, T>& block) { is_output(step) ? sweep<true>(nodes, step, block, part) : sweep<false>(nodes, step, block, part); });
    });
    finish(step);
  }

  // What v is made of, once more: its logarithm alone would be rounded to the last place of t x, as the log-sums are that were kept. Likewise
  // f, as an anchor and the rest: t (x - f) would have the rounding of f, times t.
  void set_weights(const LogNodes<S, T>& nodes) {
    sum_columns(nodes, parallel_, sums_, [](const Block<S, T>&, const PerNode<T>&) {});
    for (int64_t at = 0; at < rows_.padded; at += W<T>) {
      const LogColumns<T> sum = LogColumns<T>::at(sums_ + at, rows_.padded);
      store(most_ + at, offset<T>(sum.most)), store(share_ + at, splat(T(1)) / sum.mass);
      store(mean_ + at, sum.anchor), store(rest_ + at, sum.moment / sum.mass);
    }
  }

  // A is the adjoint of f itself here: the sums over nodes are divided inside v.
  void start_from_output() {
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      store(a_adjoint_ + at, load(rows_.of_set(io_.grad) + at, lanes));
    });
  }

  void start_from_channels(int64_t step) {
    const T r_p = problem_.r_p.at(step, rows_.set, rows_.head);
    Vec<T> d_r_p{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> d_a = load(d_a_ + at);
      d_r_p += first<T>(lanes) ? d_a * (channel_prior(problem_.batch, rows_, at, lanes) - load(log_sums(step) + at, lanes)) : Vec<T>{};
      store(a_adjoint_ + at, -r_p * d_a);
      if (!io_.d_log_p0) return;
      T* to = rows_.of_set(io_.d_log_p0) + at;
      store(to, load(to, lanes) + r_p * d_a, lanes);
    });
    io_.d_r_p.at(step, rows_.set, rows_.head) += sum<T>(d_r_p);
  }

  template <bool output> void sweep(const LogNodes<S, T>& nodes, int64_t step, const Block<S, T>& block, T* part) {
    PerNode<T> b, slack, log_sum;
    nodes.potentials(block, b, slack, log_sum);
    Vec<T> d_t = load(part + rows_.padded + W<T>);
    for (int i = 0; i < block.count; ++i) {
      const T d_b = row_adjoint<output>(nodes, block, i, b[i]);
      if (io_.d_log_q0) io_.d_log_q0[block.node(i)] += nodes.r_q * d_b;
      part[rows_.padded] += d_b * slack[i];
      for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
        const Vec<T> from_u = exp<T>(nodes.exponent(block, i, at, lanes, load(a_ + at)) - log_sum[i]) * (-nodes.r_q * d_b);
        const Vec<T> v = channel_weight(nodes, block, i, b[i], at, lanes);
        const Vec<T> h = from_u + v * adjoint<output>(block, i, at, lanes), direct = v * load(a_adjoint_ + at);
        const Vec<T> d_t_term = h * load(block.row(problem_.batch.scores, i) + at, lanes);
        store(part + at, load(part + at) + from_u);
        d_t += first<T>(lanes) ? d_t_term : Vec<T>{};
        add_step(block, io_.d_scores, staged_, i, at, lanes, output && !io_.d_values ? nodes.t * h + direct : nodes.t * h, output, !step);
        if (output && io_.d_values) store(block.row(io_.d_values, i) + at, direct, lanes);
      });
    }
    store(part + rows_.padded + W<T>, d_t);
  }

  // v, its adjoint in (3) or (2), and their product summed over channels: the adjoint of b.
  UOTP_INLINE Vec<T> channel_weight(const LogNodes<S, T>& nodes, const Block<S, T>& block, int i, T b, int64_t at, int lanes) const {
    return exp<T>(nodes.exponent(block, i, at, lanes, b) - load(most_ + at)) * load(share_ + at);
  }

  template <bool output> Vec<T> adjoint(const Block<S, T>& block, int i, int64_t at, int lanes) const {
    const S* values = problem_.batch.values ? problem_.batch.values : problem_.batch.scores;
    return output ? load(a_adjoint_ + at) * (load(block.row(values, i) + at, lanes) - load(mean_ + at) - load(rest_ + at)) : load(a_adjoint_ + at);
  }

  template <bool output> T row_adjoint(const LogNodes<S, T>& nodes, const Block<S, T>& block, int i, T b) const {
    Vec<T> total{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> term = channel_weight(nodes, block, i, b, at, lanes) * adjoint<output>(block, i, at, lanes);
      total += first<T>(lanes) ? term : Vec<T>{};
    });
    return sum<T>(total);
  }

  void finish(int64_t step) {
    combine(partial_, rows_.chunks(), part(), part());
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(d_a_ + at, load(partial_ + at));
    io_.d_r_q.at(step, rows_.set, rows_.head) += sum<T>(load(partial_ + rows_.padded));
    io_.d_t.at(step, rows_.set, rows_.head) += sum<T>(load(partial_ + rows_.padded + W<T>));
  }

  const Sinkhorn<S, T>& problem_;
  const SinkhornBackward<S, T>& io_;
  const Rows<S, T>& rows_;
  const Parallel* parallel_;
  T *a_, *a_adjoint_, *mean_, *rest_, *d_a_, *most_, *share_, *sums_, *partial_, *staged_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
