// What the kernels are called with: plain views of the caller's memory, the same for every instruction set.
#pragma once
#include <cstdint>

namespace uotp {

// A coefficient of every step, set and head. The last row serves the steps beyond it; a set stride of 0 shares all. Heads are contiguous.
template <class T> struct Coefficient {
  T* value;
  int64_t rows, row_stride, set_stride;
  T& at(int64_t step, int64_t set, int64_t head) const {
    return value[(step < rows ? step : rows - 1) * row_stride + set * set_stride + head];
  }
};

// S: how the tensors are stored, T: in what they are computed. N nodes, G sets, D = heads x width channels.
template <class S, class T> struct Batch {
  const S* scores;        // [N, D]
  const S* values;        // [N, D]; null: the scores
  const int64_t* ptr;     // [G + 1]
  const int64_t* order;   // [N], the node at each place of the sorted batch; null: sorted already
  int64_t sets, heads, width, steps;
  const T* log_p0;        // [heads, width]; null: uniform
  const T* log_q0;        // [N, heads]; null: uniform. A node of log prior -infinity is left out: see below.
  // Where nodes are left out, the places of the others: those of set g and head h lie in present_order[h][present_ptr[h][g] ...].
  const int64_t* present_ptr = nullptr;    // [heads, G + 1]
  const int64_t* present_order = nullptr;  // [heads, N]
};

template <class S, class T> struct Sinkhorn {
  Batch<S, T> batch;
  Coefficient<const T> t, r_p, r_q;  // 1/alpha0, alpha1/(alpha0 + alpha1), alpha2/(alpha0 + alpha2)
  bool shared_t;                     // one t for all steps: exponentials and the gradient of x are formed once
};

template <class S, class T> struct SinkhornForward {
  T* pooled;              // [G, D]
  T* log_sums;            // [K, G, D]: LSE_n(t (x - centre) + b) of each step
  T* bias;                // [N, heads]: b of the last step
  T* centre;              // [G, heads]; NaN: the set was solved in the log domain
};

template <class S, class T> struct SinkhornBackward {
  const T* pooled;        // [G, D], as the forward left it
  const T* log_sums;
  const T* centre;
  const T* grad;          // [G, D]
  S* d_scores;            // [N, D]
  S* d_values;            // [N, D]; null: the values are the scores
  Coefficient<T> d_t, d_r_p, d_r_q;  // of every set, zero before
  T* d_log_p0;            // [G, D], of every set; null: not wanted
  T* d_log_q0;            // [N, heads]; null: not wanted
};

template <class S, class T> struct Badmm {
  Batch<S, T> batch;
  Coefficient<const T> t, r_p, r_q, rho;
  bool quadratic;         // the regulariser: the squared norm, or the entropy
};

// Logarithms are to the base 2.
template <class S, class T> struct BadmmForward {
  T* pooled;              // [G, D]
  T* channel_log_sums;    // [K + 1, G, D]: r of each step, that of the last as its largest term and the rest
  T* node_log_sums;       // [K - 1, N, heads]: c
  T* masses;              // [K - 1, G, heads]: what S is divided by
};

template <class S, class T> struct BadmmBackward {
  BadmmForward<S, const T> kept;
  const T* grad;          // [G, D]
  S* d_scores;            // [N, D]
  S* d_values;            // [N, D]; null: the values are the scores
  Coefficient<T> d_t, d_r_p, d_r_q, d_rho;  // of every set, zero before
  T* d_log_p0;            // [G, D], of every set, zero before; null: not wanted
  T* d_log_q0;            // [N, heads], zero before; null: not wanted
};

// Sinkhorn's fixed point, whose scores are stored and computed as T.
template <class T> struct FixedPoint {
  Batch<T, T> batch;
  Coefficient<const T> t, r_p, r_q;
  T tol;
  int64_t max_steps;
};

template <class T> struct FixedPointForward {
  T* pooled;              // [G, D]
  T* bias;                // [N, heads]: b
  bool* solved;           // [G, heads]
  int64_t* steps;         // [G, heads]: sweeps, and products with the system
};

template <class T> struct FixedPointBackward {
  const T* pooled;        // [G, D], as the forward left it
  const T* bias;
  const T* grad;          // [G, D]
  T* d_scores;            // [N, D]
  T* d_values;            // [N, D]; null: the values are the scores
  Coefficient<T> d_t, d_r_p, d_r_q;  // of every set, zero before
  T* d_log_p0;            // [G, D], of every set, zero before; null: not wanted
  T* d_log_q0;            // [N, heads]; null: not wanted
};

// Runs task(context, begin, end) over ranges of [0, count), at least `grain` long, on the caller's threads.
struct Parallel {
  void (*run)(int64_t count, int64_t grain, void (*task)(void*, int64_t, int64_t), void* context);
  int64_t threads;
};

template <class S, class T> struct SolverTable {
  void (*sinkhorn_forward)(const Sinkhorn<S, T>&, const SinkhornForward<S, T>&, const Parallel&);
  void (*sinkhorn_backward)(const Sinkhorn<S, T>&, const SinkhornBackward<S, T>&, const Parallel&);
  void (*badmm_forward)(const Badmm<S, T>&, const BadmmForward<S, T>&, const Parallel&);
  void (*badmm_backward)(const Badmm<S, T>&, const BadmmBackward<S, T>&, const Parallel&);
};

template <class T> struct FixedPointTable {
  void (*forward)(const FixedPoint<T>&, const FixedPointForward<T>&, const Parallel&);
  void (*backward)(const FixedPoint<T>&, const FixedPointBackward<T>&, const Parallel&);
};

}  // namespace uotp
