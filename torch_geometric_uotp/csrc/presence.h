// Which nodes take part: those whose log prior is -infinity are left out, as if they were not there.
//
// The kernels never read a row that is left out, whatever it holds. Each head has nodes of its own, so each has its own layout of the
// batch: offsets of the sets, and the node at each place. Nothing is made where no node is left out.
#pragma once
#include <cstdint>
#include <vector>

namespace uotp {

template <class T> class Presence {
 public:
  // log_q0: [N, heads], or null; ptr: [G + 1]; order: [N], or null where nodes are in place.
  Presence(const T* log_q0, const int64_t* ptr, const int64_t* order, int64_t sets, int64_t heads) {
    const int64_t nodes = ptr[sets];
    if (!log_q0 || !leaves_any_out(log_q0, nodes * heads)) return;
    order_.resize(nodes * heads);
    for (int64_t head = 0; head < heads; ++head) {
      int64_t* place = order_.data() + head * nodes;
      int64_t count = 0;
      for (int64_t set = 0; set < sets; ++set) {
        ptr_.push_back(count);
        for (int64_t n = ptr[set]; n < ptr[set + 1]; ++n) {
          const int64_t node = order ? order[n] : n;
          if (!is_left_out(log_q0[node * heads + head])) place[count++] = node;
        }
      }
      ptr_.push_back(count);
    }
  }

  // Null where no node is left out: see Batch.
  const int64_t* ptr() const { return ptr_.empty() ? nullptr : ptr_.data(); }
  const int64_t* order() const { return ptr_.empty() ? nullptr : order_.data(); }

 private:
  static bool is_left_out(T log_prior) { return log_prior == -T(__builtin_inff()); }

  static bool leaves_any_out(const T* log_q0, int64_t count) {
    bool any = false;  // without a way out of the loop, which compilers vectorise
    for (int64_t i = 0; i < count; ++i) any |= is_left_out(log_q0[i]);
    return any;
  }

  std::vector<int64_t> ptr_, order_;
};

}  // namespace uotp
