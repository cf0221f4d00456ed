// The adjoint of sinkhorn_forward.h, from the log-sums of its steps: E and b are formed anew, nothing else was kept.
//
// With v_nd = E_nd beta_n / sum_n E_nd beta_n, u_nd = E_nd alpha_d / sum_d E_nd alpha_d, and a bar (here `d_`) for adjoints,
//
//   (3)  d_b_n = sum_d E_nd beta_n O_d (x_nd - f_d),   O_d = d_f_d / sum_n E_nd beta_n
//   (2)  d_b_n = sum_d E_nd beta_n A_d,                A_d = -r_p d_a_d / sum_n E_nd beta_n
//   (1)  d_a_d = alpha_d sum_n E_nd B_n,               B_n = -r_q d_b_n / sum_d E_nd alpha_d
//   (4)  d_x_nd = E_nd (t g_nd + beta_n O_d),          g_nd = sum over steps of A_d beta_n + alpha_d B_n, and beta_n O_d (x_nd - f_d)
//
// so a step is one pass over E, and steps that share t are written to d_x together. All of it is linear in d_f, which is divided by a power
// of two near its largest element, so that O, A and B stay in range whatever the loss is multiplied with.
#pragma once
#include "sinkhorn_forward.h"

namespace uotp {
namespace UOTP_ISA {

template <class S, class T> class SinkhornBackwardSet {
 public:
  SinkhornBackwardSet(const Sinkhorn<S, T>& problem, const SinkhornBackward<S, T>& io, const Rows<S, T>& rows, const Parallel* parallel)
      : problem_(problem), io_(io), rows_(rows), parallel_(parallel), steps_(problem.batch.steps), group_(problem.shared_t ? steps_ : 1),
        nodes_(round_up(rows.count, W<T>)), likeliest_(likeliest(problem.batch, rows)), e_{rows, problem.batch.scores, io.centre[rows.set * rows.heads() + rows.head], nullptr, true, 0, 0} {
    T* memory = nullptr;
    const bool staged = !kDirect<S, T> && group_ < steps_;
    for (int pass = 0; pass < 2; ++pass) {
      Carver<T> carver(memory);
      a_adjoint_ = carver.take(2 * group_ * rows.padded), alpha_ = a_adjoint_ + group_ * rows.padded;
      beta_ = carver.take(2 * group_ * nodes_), b_adjoint_ = beta_ + group_ * nodes_;
      output_ = carver.take(rows.padded), mean_ = carver.take(rows.padded), d_a_ = carver.take(rows.padded);
      partial_ = carver.take(rows.chunks() * part());
      staged_ = carver.take(staged ? nodes_ * rows.padded : 0);
      e_.held = carver.take(rows.held() ? nodes_ * rows.padded : 0);
      if (!pass) memory = set_scratch().template at_least<T>(carver.used());
    }
    if (!rows.held()) e_.held = nullptr;
  }

  void solve() {
    unit_ = unit_of_grad();
    for (int64_t step = steps_ - 1; step >= 0; --step) retreat(step);
  }

 private:
  T unit_of_grad() const {
    Vec<T> most{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> grad = load(rows_.of_set(io_.grad) + at, lanes);
      most = maximum<T>(most, maximum<T>(grad, -grad));
    });
    const T size = largest<T>(most);
    int exponent = 0;
    if (size > 0 && size < Format<T>::infinity) __builtin_frexp(double(size), &exponent);
    const int reach = Format<T>::bias - 1;
    return T(__builtin_ldexp(1., exponent < -reach ? -reach : exponent > reach ? reach : exponent));
  }

  // What a chunk adds to: d_a, then vectors of the coefficients' adjoints.
  int64_t part() const { return rows_.padded + 3 * W<T>; }
  // The output comes first: it has no A.
  int64_t slot(int64_t step) const { return group_ > 1 ? steps_ - 1 - step : 0; }
  bool is_output(int64_t step) const { return step + 1 == steps_; }
  const T* log_sums(int64_t step) const { return rows_.of_set(io_.log_sums + step * problem_.batch.sets * rows_.stride); }
  T coefficient(const Coefficient<const T>& c, int64_t step) const { return c.at(step, rows_.set, rows_.head); }

  void retreat(int64_t step) {
    T* alpha = alpha_ + slot(step) * rows_.padded;
    const T t = coefficient(problem_.t, step);
    channel_weights(problem_, rows_, step ? log_sums(step - 1) : nullptr, step ? coefficient(problem_.r_p, step - 1) : T(0), alpha);
    is_output(step) ? start_from_output(step) : start_from_channels(step);
    e_.start(t, problem_.shared_t && !is_output(step));
    const bool flush = !problem_.shared_t || !step;
    for_chunks(rows_, parallel_, [&](int64_t chunk, int64_t begin, int64_t end) {
      T* part = partial_ + chunk * this->part();
      for (int64_t i = 0; i < this->part(); i += W<T>) store(part + i, Vec<T>{});
      for_blocks(rows_, begin, end, [&](const Block<S, T>& block) {
        const T* e = e_.of(block);
        is_output(step) ? sweep<true>(step, block, e, part) : sweep<false>(step, block, e, part);
        if (flush) write_out(step, block, e, part);
      });
    });
    finish(step, alpha);
  }

  // What has no weight has none of an infinite adjoint.
  static UOTP_INLINE Vec<T> weighted(Vec<T> weight, Vec<T> adjoint) { return weight == Vec<T>{} ? Vec<T>{} : weight * adjoint; }

  // (3): O, f and no A.
  UOTP_FLATTEN void start_from_output(int64_t step) {
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> sum = exp<T>(load(log_sums(step) + at, lanes));
      store(output_ + at, load(rows_.of_set(io_.grad) + at, lanes) / unit_ / sum);
      store(mean_ + at, load(rows_.of_set(io_.pooled) + at, lanes));
    });
  }

  // (2): A from d_a, and the adjoints of r_p and log p0.
  UOTP_FLATTEN void start_from_channels(int64_t step) {
    T* adjoint = a_adjoint_ + slot(step) * rows_.padded;
    const T r_p = coefficient(problem_.r_p, step);
    const T first_slack = channel_prior(problem_.batch, rows_, 0, 1)[0] - log_sums(step)[0];
    Vec<T> d_r_p{};
    for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
      const Vec<T> d_a = load(d_a_ + at), sum = load(log_sums(step) + at, lanes);
      d_r_p += first<T>(lanes) ? d_a * (channel_prior(problem_.batch, rows_, at, lanes) - sum - first_slack) : Vec<T>{};
      store(adjoint + at, -r_p * d_a / exp<T>(sum));
      if (!io_.d_log_p0) return;
      T* to = rows_.of_set(io_.d_log_p0) + at;
      store(to, load(to, lanes) + unit_ * (r_p * d_a), lanes);
    });
    io_.d_r_p.at(step, rows_.set, rows_.head) += unit_ * sum<T>(d_r_p);
  }

  // b anew, its adjoint (3) or (2), B, and the block's share of (1).
  template <bool output> UOTP_FLATTEN void sweep(int64_t step, const Block<S, T>& block, const T* e, T* part) {
    const T *alpha = alpha_ + slot(step) * rows_.padded, *adjoint = a_adjoint_ + slot(step) * rows_.padded;
    PerNode<T> log_q0, slacks, row[2];
    if (output) output_products(block, e, alpha, row);
    else row_products<T, 2>(e, block.count, rows_.padded, {alpha, adjoint}, row);
    node_prior(problem_.batch, block, log_q0);
    const T r_q = coefficient(problem_.r_q, step);
    T *betas = beta_ + slot(step) * nodes_ + block.first, *b_adjoint = b_adjoint_ + slot(step) * nodes_ + block.first;
    Vec<T> d_r_q{}, total{};
    for (int i = 0; i < block.count; i += W<T>) {
      const Vec<T> row_sum = load(row[0].value + i), prior = load(log_q0.value + i), log_sum = log<T>(row_sum), slack = prior - log_sum;
      const Vec<T> beta = exp<T>(r_q * slack), d_b = weighted(beta, load(row[1].value + i));
      const auto there = first<T>(block.count - i);
      d_r_q += there ? d_b * slack : Vec<T>{}, total += there ? d_b : Vec<T>{};
      store(slacks.value + i, slack), store(betas + i, beta), store(b_adjoint + i, there ? -r_q * d_b / row_sum : Vec<T>{}), store(row[1].value + i, d_b);
    }
    if (likeliest_ >= block.first && likeliest_ < block.first + block.count) its_slack_ = slacks[int(likeliest_ - block.first)];
    add(part + rows_.padded, d_r_q), add(part + rows_.padded + W<T>, total);
    if (io_.d_log_q0)
      for (int i = 0; i < block.count; ++i) io_.d_log_q0[block.node(i)] += unit_ * (r_q * row[1][i]);
    if (step) column_products(e, block.count, rows_.padded, b_adjoint, part);
  }

  // The sums over channels of E alpha and, in (3), E O (x - f).
  UOTP_FLATTEN void output_products(const Block<S, T>& block, const T* e, const T* alpha, PerNode<T> (&row)[2]) const {
    const S* x[kRows];
    for (int i = 0; i < round_up(block.count, kPanel<T>); ++i) x[i] = block.row(values(), i < block.count ? i : 0);
    panel_sums<T, 2>(block.count, rows_.padded, row, [&](Vec<T> (&total)[2][kPanel<T>], int i, int64_t at) {
      const int lanes = int(smaller(W<T>, rows_.width - at));
      const Vec<T> weight = load(alpha + at), output = load(output_ + at), mean = load(mean_ + at);
      for (int r = 0; r < kPanel<T>; ++r) {
        const Vec<T> value = load(e + (i + r) * rows_.padded + at);
        total[0][r] += value * weight, total[1][r] += value * output * (load(x[i + r] + at, lanes) - mean);
      }
    });
  }

  // (4) for the steps since the last change of t, and their adjoint of t.
  void write_out(int64_t step, const Block<S, T>& block, const T* e, T* part) {
    T* g = e_.tile();
    const bool output = is_output(step + group_ - 1);
    outer_products(g, block.count, rows_.padded, 2 * group_ - output, beta_ + output * nodes_ + block.first, nodes_, a_adjoint_ + output * rows_.padded);
    output ? write_rows<true>(step, block, e, g, part) : write_rows<false>(step, block, e, g, part);
  }

  template <bool output> UOTP_FLATTEN void write_rows(int64_t step, const Block<S, T>& block, const T* e, const T* g, T* part) {
    const T t = coefficient(problem_.t, step), *beta = beta_ + block.first;
    Vec<T> d_t{};
    for (int i = 0; i < block.count; ++i) {
      const S *x = block.row(problem_.batch.scores, i), *value = block.row(values(), i), *ahead = rows_.row_ahead(io_.d_scores, block.first + i);
      Vec<T> of_row{};
      for_columns<T>(rows_.width, [&](int64_t at, int lanes) {
        const Vec<T> weight = load(e + i * rows_.padded + at), score = load(x + at, lanes);
        Vec<T> each = load(g + i * rows_.padded + at), direct{};
        if (output) {
          direct = load(output_ + at) * beta[i];
          each += direct * ((io_.d_values ? load(value + at, lanes) : score) - load(mean_ + at));
        }
        const Vec<T> h = unit_ * (weight * each), d_value = unit_ * (weight * direct), of_value = output && !io_.d_values ? d_value : Vec<T>{};
        of_row += h * (score - e_.centre);
        __builtin_prefetch(ahead + at, true);
        add_step(block, io_.d_scores, staged_, i, at, lanes, t * h + of_value, output, !step);
        if (output && io_.d_values) store(block.row(io_.d_values, i) + at, d_value, lanes);
      });
      d_t += of_row;
    }
    add(part + rows_.padded + 2 * W<T>, d_t);
  }

  // Gathers the chunks: (1) and the coefficients.
  UOTP_FLATTEN void finish(int64_t step, const T* alpha) {
    combine(partial_, rows_.chunks(), part(), part());
    for (int64_t at = 0; at < rows_.padded; at += W<T>) store(d_a_ + at, weighted(load(alpha + at), load(partial_ + at)));
    // The adjoints of b add up to 0, as a constant in b is seen by nobody: taking slacks from one of them costs nothing but rounding.
    const T *d_r_q = partial_ + rows_.padded, d_b = sum<T>(load(d_r_q + W<T>));
    io_.d_r_q.at(step, rows_.set, rows_.head) += unit_ * (sum<T>(load(d_r_q)) - its_slack_ * d_b);
    io_.d_t.at(step, rows_.set, rows_.head) += sum<T>(load(d_r_q + 2 * W<T>));
  }

  const S* values() const { return problem_.batch.values ? problem_.batch.values : problem_.batch.scores; }

  const Sinkhorn<S, T>& problem_;
  const SinkhornBackward<S, T>& io_;
  const Rows<S, T>& rows_;
  const Parallel* parallel_;
  const int64_t steps_, group_, nodes_, likeliest_;
  Exponentials<S, T> e_;
  T its_slack_, unit_;
  T *alpha_, *a_adjoint_, *beta_, *b_adjoint_, *output_, *mean_, *d_a_, *partial_, *staged_;
};

}  // namespace UOTP_ISA
}  // namespace uotp
