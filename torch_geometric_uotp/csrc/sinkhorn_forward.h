// Sinkhorn on one set and head, in scaling form: E_nd = e^{t (x_nd - centre)} is formed once (once a step where t changes) and the
// log-sum-exps of the recursion (1), (2) become products with alpha = e^a and beta = e^b:
//
//   (1)  b_n = r_q (log q0_n - log sum_d E_nd alpha_d)
//   (2)  a_d = r_p (log p0_d - log sum_n E_nd beta_n),  less its maximum, a constant that no output sees
//   (3)  f_d = sum_n E_nd beta_n x_nd / sum_n E_nd beta_n
//
// Exact as long as the exponents, and what multiplies with them, stay in range; solve() says false where they do not, and the log domain
// takes over.
#pragma once
#include "block.h"

namespace uotp {
namespace UOTP_ISA {

// Which centre and E of a set. Held: E of the whole set is kept, else of one block at a time.
template <class S, class T> struct Exponentials {
  const Rows<S, T>& rows;
  const S* scores;
  T centre;
  T* held;
  bool fresh;  // E has to be formed, or formed anew, in this sweep
  T scale, shift;  // 2^(scale x - shift) = E

  // `seen`, where it is given, sees the scores that E is formed of.
  T* of(const Block<S, T>& block, Extremes<T>* seen = nullptr) const {
    T* e = held ? held + block.first * rows.padded : spare();
    if (fresh) seen ? form<true>(block, e, seen) : form<false>(block, e, seen);
    return e;
  }

  // A tile of the thread that works on a block, behind the one for E.
  T* tile() const { return spare() + block_rows(rows) * rows.padded; }

  // Before a sweep of a step with coefficient t; `again`: E of the step before still holds.
  void start(T t, bool again) {
    scale = t * Format<T>::log2e, shift = scale * centre;
    fresh = !held || !again;
  }

 private:
  T* spare() const { return block_scratch().template at_least<T>(2 * block_rows(rows) * rows.padded); }

  template <bool look> UOTP_FLATTEN void form(const Block<S, T>& block, T* e, Extremes<T>* seen) const {
    Extremes<T> all = look ? *seen : Extremes<T>{};
    for (int i = 0; i < block.count; ++i) {
      const S *x = block.row(scores, i), *ahead = rows.row_ahead(scores, block.first + i);
      for_columns<T>(rows.width, [&](int64_t column, int lanes) {
        const Vec<T> score = load(x + column, lanes), value = exp2_bounded<T>(score * scale - shift);
        __builtin_prefetch(ahead + column);
        if (look) all.see(score, lanes);
        store(e + i * rows.padded + column, lanes == W<T> ? value : first<T>(lanes) ? value : Vec<T>{});
      });
    }
    if (look) *seen = all;
    const int64_t end = round_up(block.count, kPanel<T>) * rows.padded;
    for (int64_t i = block.count * rows.padded; i < end; i += W<T>) store(e + i, Vec<T>{});
  }
};

// Counts weights e^b that are too small to multiply with, and too large to be left out.
template <class T> UOTP_INLINE Vec<T> unfit(Vec<T> b) { return b < Format<T>::faint ? (b < Format<T>::gone ? Vec<T>{} : splat(T(1))) : Vec<T>{}; }

// (2): alpha = e^a from the log-sums of a step; before the first step a = 0. Whether all are fit to multiply with.
template <class S, class T> UOTP_FLATTEN inline bool channel_weights(const Sinkhorn<S, T>& problem, const Rows<S, T>& rows, const T* log_sums, T r_p, T* alpha) {
  if (!log_sums) {
    for_columns<T>(rows.width, [&](int64_t column, int lanes) { store(alpha + column, first<T>(lanes) ? splat(T(1)) : Vec<T>{}); });
    return true;
  }
  Vec<T> most = splat(-Format<T>::infinity);
  for_columns<T>(rows.width, [&](int64_t column, int lanes) {
    const Vec<T> a = r_p * (channel_prior(problem.batch, rows, column, lanes) - load(log_sums + column, lanes));
    store(alpha + column, first<T>(lanes) ? a : splat(-Format<T>::infinity));
    most = maximum<T>(most, load(alpha + column));
  });
  Vec<T> lost{};
  for (int64_t column = 0; column < rows.padded; column += W<T>) {
    const Vec<T> a = load(alpha + column) - largest<T>(most);
    store(alpha + column, exp<T>(a)), lost += unfit<T>(a);
  }
  return sum<T>(lost) == 0;
}

constexpr int64_t kFew = 8;  // nodes, whose scores are looked at before the others'

template <class S, class T> class SinkhornForwardSet {
 public:
  SinkhornForwardSet(const Sinkhorn<S, T>& problem, const SinkhornForward<S, T>& out, const Rows<S, T>& rows, const Parallel* parallel)
      : problem_(problem), out_(out), rows_(rows), parallel_(parallel), e_{rows, problem.batch.scores, 0, nullptr, true, 0, 0} {
    T* memory = nullptr;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      alpha_ = carver.take(rows.padded), mean_ = carver.take(rows.padded);
      partial_ = carver.take(rows.chunks() * part());
      e_.held = carver.take(rows.held() ? round_up(rows.count, W<T>) * rows.padded : 0);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
    if (!rows.held()) e_.held = nullptr;
  }

  bool solve() {
    if (!start()) return false;
    for (int64_t step = 1; step < problem_.batch.steps; ++step)
      if (!advance(step)) return false;
    pool();
    out_.centre[rows_.set * rows_.heads() + rows_.head] = e_.centre;
    return true;
  }

 private:
  // What a chunk adds to: column sums and means, and how many weights are unfit. The first sweep leaves the chunk's extremes behind them.
  int64_t sums() const { return 2 * rows_.padded + W<T>; }
  int64_t part() const { return sums() + 3 * W<T>; }
  T* part_of(int64_t chunk) const { return partial_ + chunk * part(); }

  // The first step, which sees all scores on its way, from the middle of a few; where others are too far from it, from that of all.
  bool start() {
    Extremes<T> few;
    few.see(Block<S, T>(rows_, 0, smaller(kFew, rows_.count)), problem_.batch.scores);
    e_.centre = few.middle();
    const bool normal = advance(0);
    if (in_range()) return normal;
    e_.centre = seen_.middle();
    return in_range() && advance(0);
  }

  bool in_range() const {
    const T reach = larger(seen_.highest() - e_.centre, e_.centre - seen_.lowest());
    for (int64_t step = 0; step < problem_.batch.steps; ++step)
      if (!(problem_.t.at(step, rows_.set, rows_.head) * reach <= Format<T>::range / 2)) return false;
    return seen_.finite();
  }

  T* log_sums(int64_t step) const { return rows_.of_set(out_.log_sums + step * problem_.batch.sets * rows_.stride); }

  bool advance(int64_t step) {
    const bool last = step + 1 == problem_.batch.steps;
    const T r_p = step ? problem_.r_p.at(step - 1, rows_.set, rows_.head) : 0;
    if (!channel_weights(problem_, rows_, step ? log_sums(step - 1) : nullptr, r_p, alpha_)) return false;
    e_.start(problem_.t.at(step, rows_.set, rows_.head), problem_.shared_t && step);
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* column = part_of(chunk);
      for (int64_t i = 0; i < sums(); i += W<T>) store(column + i, Vec<T>{});
      Extremes<T> seen;
      for_blocks(rows_, begin, end, [&](const Block<S, T>& block) {
        const T* e = e_.of(block, step ? nullptr : &seen);
        last ? sweep<true>(step, block, e, column) : sweep<false>(step, block, e, column);
      });
      if (!step) seen.put(column + sums());
    });
    if (!step) gather_extremes();
    if (last) gather_means();
    combine(partial_, rows_.chunks(), sums(), part());
    return keep_log_sums(log_sums(step));
  }

  void gather_extremes() {
    seen_ = {};
    for (int64_t chunk = 0; chunk < rows_.chunks(); ++chunk) seen_.add(part_of(chunk) + sums());
  }

  // Both halves of a step on a block: b from the row sums, then the block's share of the column sums, last of all weighted by x.
  template <bool last> UOTP_FLATTEN void sweep(int64_t step, const Block<S, T>& block, const T* e, T* column) {
    PerNode<T> log_q0, row_sum[1], beta, bias;
    row_products<T, 1>(e, block.count, rows_.padded, {alpha_}, row_sum);
    node_prior(problem_.batch, block, log_q0);
    const T r_q = problem_.r_q.at(step, rows_.set, rows_.head);
    Vec<T> lost{};
    for (int i = 0; i < block.count; i += W<T>) {
      const Vec<T> b = r_q * (load(log_q0.value + i) - log<T>(load(row_sum[0].value + i)));
      store(bias.value + i, b), store(beta.value + i, exp<T>(b)), lost += unfit<T>(b);
    }
    add(column + 2 * rows_.padded, lost);
    if (last) {
      for (int i = 0; i < block.count; ++i) out_.bias[block.node(i)] = bias[i];
      add_means(block, e, beta, column);
    } else {
      column_products(e, block.count, rows_.padded, beta.value, column);
    }
  }

  // The block's part of (3). Its mean is formed twice, the second time from offsets to the first: else what the values of a channel have in
  // common would cost their differences places, and the mean of equal values would not be their value.
  UOTP_FLATTEN void add_means(const Block<S, T>& block, const T* e, const PerNode<T>& beta, T* column) {
    const S* values = problem_.batch.values ? problem_.batch.values : problem_.batch.scores;
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      Vec<T> mass{}, moment{}, offset{};
      for (int i = 0; i < block.count; ++i) {
        const Vec<T> weight = load(e + i * rows_.padded + at) * beta[i];
        mass += weight, moment += weight * load(block.row(values, i) + at, lanes);
      }
      const Vec<T> first_mean = over(moment, mass);
      for (int i = 0; i < block.count; ++i) {
        const Vec<T> weight = load(e + i * rows_.padded + at) * beta[i];
        offset += weight * (load(block.row(values, i) + at, lanes) - first_mean);
      }
      add_mean(column + at, column + rows_.padded + at, mass, first_mean + over(offset, mass));
    });
  }

  static UOTP_INLINE Vec<T> over(Vec<T> part, Vec<T> mass) { return mass > Vec<T>{} ? part / mass : Vec<T>{}; }

  static UOTP_INLINE void add_mean(T* mass, T* mean, Vec<T> more, Vec<T> of_more) {
    const Vec<T> total = load(mass) + more, before = load(mean);
    store(mean, before + (of_more - before) * over(more, total)), store(mass, total);
  }

  // The mean of all chunks; their sums are left as they are.
  void gather_means() {
    for (int64_t at = 0; at < rows_.padded; at += W<T>) {
      alignas(kBytes) T mass[W<T>], mean[W<T>];
      store(mass, load(partial_ + at)), store(mean, load(partial_ + rows_.padded + at));
      for (int64_t chunk = 1; chunk < rows_.chunks(); ++chunk) add_mean(mass, mean, load(part_of(chunk) + at), load(part_of(chunk) + rows_.padded + at));
      store(mean_ + at, load(mean));
    }
  }

  UOTP_FLATTEN bool keep_log_sums(T* log_sums) {
    Vec<T> least = splat(Format<T>::largest_sum), most = splat(Format<T>::smallest_sum), defect{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> mass = first<T>(lanes) ? load(partial_ + at) : splat(T(1));
      least = minimum<T>(least, mass), most = maximum<T>(most, mass), defect += mass * 0;
      store(log_sums + at, log<T>(mass), lanes);
    });
    const bool fit = sum<T>(load(partial_ + 2 * rows_.padded)) == 0;
    return fit && -largest<T>(-least) >= Format<T>::smallest_sum && largest<T>(most) <= Format<T>::largest_sum && sum<T>(defect) == 0;
  }

  // (3); the mean of one node is that node, to the last bit.
  void pool() {
    const S* values = problem_.batch.values ? problem_.batch.values : problem_.batch.scores;
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      store(rows_.of_set(out_.pooled) + at, rows_.count == 1 ? load(rows_.row(values, 0) + at, lanes) : load(mean_ + at), lanes);
    });
  }

  const Sinkhorn<S, T>& problem_;
  const SinkhornForward<S, T>& out_;
  const Rows<S, T>& rows_;
  const Parallel* parallel_;
  Exponentials<S, T> e_;
  Extremes<T> seen_;
  T *alpha_, *mean_, *partial_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
