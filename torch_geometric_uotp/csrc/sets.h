// Where the rows of a set are, how a set is cut into chunks, and how the sets of a batch are spread over threads.
//
// The cut depends on the size of the set alone, and sums over chunks are taken in their order: results are the same bits
// for any number of threads and for a set alone or in a batch.
#pragma once
#include <cstdlib>
#include <new>
#include <type_traits>

#include "problem.h"
#include "vec.h"

namespace uotp {
namespace UOTP_ISA {

constexpr int64_t kChunk = 1 << 15;  // elements of a chunk: its scores and their gradient stay in a core's L2 cache
constexpr int64_t kHold = 1 << 19;   // elements of a set whose exponentials are kept through all steps
constexpr int64_t kAhead = 1 << 14;  // bytes between the row that a pass works on and the one that it asks for

inline int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }
template <class T> inline T smaller(T a, std::common_type_t<T> b) { return a < b ? a : b; }
template <class T> inline T larger(T a, std::common_type_t<T> b) { return a > b ? a : b; }

constexpr int64_t kKept = 1 << 26;   // bytes of scratch memory that outlive a call

// Memory of one thread that outlives its tasks: asking the system for pages at every call costs more than a small batch. What is large is
// given back: the system hands it out page by page anyway.
class Scratch {
 public:
  ~Scratch() { release(); }
  template <class T> T* at_least(int64_t count) {
    const int64_t bytes = round_up(count * int64_t(sizeof(T)), 64);
    if (bytes > capacity_) {
      release();
      memory_ = std::aligned_alloc(64, bytes);
      if (!memory_) throw std::bad_alloc();
      capacity_ = bytes;
    }
    return static_cast<T*>(memory_);
  }
  void trim() {
    if (capacity_ > kKept) release();
  }

 private:
  void release() {
    std::free(memory_);
    memory_ = nullptr, capacity_ = 0;
  }

  void* memory_ = nullptr;
  int64_t capacity_ = 0;
};

inline Scratch& set_scratch() { static thread_local Scratch scratch; return scratch; }
inline Scratch& block_scratch() { static thread_local Scratch scratch; return scratch; }

// Cuts consecutive, aligned arrays out of one piece of memory; started at null it only measures.
template <class T> class Carver {
 public:
  explicit Carver(T* memory) : start_(memory), used_(0) {}
  T* take(int64_t count) {
    T* piece = start_ ? start_ + used_ : nullptr;
    used_ += round_up(count, 64 / sizeof(T));
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  T* start_;
  int64_t used_;
};

// The rows of one set and head: nodes that are left out are none of them.
template <class S, class T> struct Rows {
  int64_t set, head, begin, count, width, padded, stride, nodes, ahead;
  const int64_t* order;
  T uniform_p0, uniform_q0;  // logarithms of the uniform priors

  Rows(const Batch<S, T>& batch, int64_t set, int64_t head)
      : Rows(batch, set, head, batch.present_ptr ? batch.present_ptr + head * (batch.sets + 1) : batch.ptr,
             batch.present_ptr ? batch.present_order + head * batch.ptr[batch.sets] : batch.order) {}

  Rows(const Batch<S, T>& batch, int64_t set, int64_t head, const int64_t* ptr, const int64_t* order)
      : set(set), head(head), begin(ptr[set]), count(ptr[set + 1] - begin), width(batch.width),
        padded(round_up(width, W<T>)), stride(batch.heads * width), nodes(ptr[batch.sets]),
        ahead(1 + kAhead / (stride * int64_t(sizeof(S)))), order(order),
        uniform_p0(-T(__builtin_log(double(width)))), uniform_q0(-T(__builtin_log(double(count)))) {}

  int64_t node(int64_t n) const { return order ? order[begin + n] : begin + n; }
  template <class P> P* row(P* tensor, int64_t n) const { return tensor + node(n) * stride + head * width; }
  // The row that a pass comes to a while after row n, of the next sets too: a core that is busy with each element does not look as far by itself.
  template <class P> P* row_ahead(P* tensor, int64_t n) const {
    return tensor + (order ? order[smaller(begin + n + ahead, nodes - 1)] : begin + n + ahead) * stride + head * width;
  }
  template <class P> P* of_set(P* tensor) const { return tensor + set * stride + head * width; }
  int64_t heads() const { return stride / width; }
  int64_t chunk() const { return larger(W<T>, kChunk / padded / W<T> * W<T>); }
  int64_t chunks() const { return (count + chunk() - 1) / chunk(); }
  bool held() const { return round_up(count, W<T>) * padded <= kHold; }
};

// f(column, how many of W) over the columns of a row.
template <class T, class F> inline void for_columns(int64_t width, F f) {
  int64_t column = 0;
  for (; column + W<T> <= width; column += W<T>) f(column, W<T>);
  if (column < width) f(column, int(width - column));
}

// f(chunk, first row, last row) over the chunks of a set, in parallel if `parallel` is given.
template <class R, class F> inline void for_chunks(const R& rows, const Parallel* parallel, F f) {
  struct Task {
    const R& rows;
    F& f;
    static void run(void* context, int64_t begin, int64_t end) {
      const Task& task = *static_cast<Task*>(context);
      const int64_t size = task.rows.chunk();
      for (int64_t chunk = begin; chunk < end; ++chunk) task.f(chunk, chunk * size, smaller(chunk * size + size, task.rows.count));
    }
  } task{rows, f};
  if (parallel) parallel->run(rows.chunks(), 1, Task::run, &task);
  else Task::run(&task, 0, rows.chunks());
}

inline Scratch& wide_scratch() { static thread_local Scratch scratch; return scratch; }

// f(rows, parallel or null) over all sets and heads. A set that is a large part of the batch is cut inside, one after another;
// the others are dealt out whole, in pieces of as many nodes.
template <class S, class T, class F> inline void for_sets(const Batch<S, T>& batch, const Parallel& parallel, F f) {
  struct Task {
    const Batch<S, T>& batch;
    F& f;
    int64_t nodes, pieces, wide;
    int64_t* wide_sets;  // in their order: fewer than 4 x pieces
    int64_t wide_count, wide_nodes;

    // The same for all heads of a set, of which each may leave out other nodes.
    bool is_wide(int64_t set) const {
      const int64_t count = batch.ptr[set + 1] - batch.ptr[set];
      return count > wide && count > Rows<S, T>(batch, set, 0).chunk();
    }

    int64_t dealt_nodes_before(int64_t set) const {
      int64_t before = batch.ptr[set];
      for (int64_t i = 0; i < wide_count && wide_sets[i] < set; ++i) before -= batch.ptr[wide_sets[i] + 1] - batch.ptr[wide_sets[i]];
      return before;
    }

    int64_t first_set(int64_t piece) const {
      int64_t low = 0, high = batch.sets;
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (dealt_nodes_before(middle) * pieces < (nodes - wide_nodes) * piece) low = middle + 1;
        else high = middle;
      }
      return low;
    }

    static void run(void* context, int64_t begin, int64_t end) {
      const Task& task = *static_cast<Task*>(context);
      const int64_t last = end == task.pieces ? task.batch.sets : task.first_set(end);
      for (int64_t set = task.first_set(begin); set < last; ++set)
        for (int64_t head = 0; head < task.batch.heads && !task.is_wide(set); ++head) task.f(Rows<S, T>(task.batch, set, head), nullptr);
      set_scratch().trim(), block_scratch().trim();
    }
  };
  const int64_t nodes = batch.ptr[batch.sets], work = nodes * batch.heads * round_up(batch.width, W<T>);
  const int64_t pieces = larger(1, smaller(parallel.threads, work / (kChunk / 4)));
  Task task{batch, f, nodes, pieces, pieces > 1 ? nodes / (4 * pieces) : nodes, wide_scratch().template at_least<int64_t>(4 * pieces), 0, 0};
  for (int64_t set = 0; set < batch.sets; ++set) {
    if (!task.is_wide(set)) continue;
    task.wide_sets[task.wide_count++] = set, task.wide_nodes += batch.ptr[set + 1] - batch.ptr[set];
    for (int64_t head = 0; head < batch.heads; ++head) f(Rows<S, T>(batch, set, head), &parallel);
  }
  set_scratch().trim();
  if (pieces > 1) parallel.run(pieces, 1, Task::run, &task);
  else Task::run(&task, 0, 1);
}

}  // namespace UOTP_ISA
}  // namespace uotp
