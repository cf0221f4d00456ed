// The kernels on random ragged batches, with one thread and with several: the same bits must come out.
//
//     driver BATCHES
//
// Nothing but the kernels and the standard library, so that sanitizers see all of it: no interpreter, no torch, no
// OpenMP. UOTP_ISA chooses the instruction set. Another solver is another function like sinkhorn() and a line in run() or main().
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "../../torch_geometric_uotp/csrc/kernels.h"

using namespace uotp;

namespace {

// ---- threads

int64_t thread_count = 1;

void run_on_threads(int64_t count, int64_t grain, void (*task)(void*, int64_t, int64_t), void* context) {
  const int64_t pieces = std::max<int64_t>(1, std::min(thread_count, count / grain));
  std::vector<std::thread> others;
  for (int64_t piece = 1; piece < pieces; ++piece) others.emplace_back(task, context, count * piece / pieces, count * (piece + 1) / pieces);
  task(context, 0, count / pieces);
  for (std::thread& other : others) other.join();
}

// ---- memory

// Arrays as large as they must be and no larger: a sanitizer sees the first element beyond.
class Memory {
 public:
  template <class T> T* filled(int64_t count, int byte) {
    const size_t bytes = count * sizeof(T);
    arrays_.emplace_back(std::unique_ptr<char[]>(new char[bytes]), bytes);
    std::memset(arrays_.back().first.get(), byte, bytes);
    return reinterpret_cast<T*>(arrays_.back().first.get());
  }
  template <class T> T* zeros(int64_t count) { return filled<T>(count, 0); }

  // Other rubbish for every number of threads: what was not written differs.
  template <class T> T* rubbish(int64_t count) { return filled<T>(count, int(0x40 + thread_count)); }

  bool operator==(const Memory& other) const {
    for (size_t i = 0; i < arrays_.size(); ++i)
      if (arrays_[i].second != other.arrays_[i].second || std::memcmp(arrays_[i].first.get(), other.arrays_[i].first.get(), arrays_[i].second)) return false;
    return arrays_.size() == other.arrays_.size();
  }

 private:
  std::vector<std::pair<std::unique_ptr<char[]>, size_t>> arrays_;
};

// ---- random numbers

class Draw {
 public:
  explicit Draw(int64_t seed) : bits_(seed) {}
  int64_t below(int64_t limit) { return int64_t(bits_() % uint64_t(limit)); }
  bool coin() { return below(2); }
  double uniform() { return double(bits_() >> 11) * 0x1p-53; }
  template <class T, size_t n> T one_of(const T (&choices)[n]) { return choices[below(n)]; }

  // A number of either sign and a magnitude of 1/16 to 4, in any format. Rarely 16 times that: then a chunk leaves the
  // range that those before it kept.
  int64_t rarely() { return below(40000) ? 0 : 4; }
  void number(double& to) { to = (coin() ? 1 : -1) * std::exp2(6 * uniform() - 4 + double(rarely())); }
  void number(float& to) { double wide; number(wide), to = float(wide); }
  void number(bfloat16& to) { to.bits = uint16_t((coin() << 15) + ((123 + below(6) + rarely()) << 7) + below(1 << 7)); }
  void number(float16& to) { to.bits = uint16_t((coin() << 15) + ((11 + below(6) + rarely()) << 10) + below(1 << 10)); }

  template <class T> T* numbers(Memory& memory, int64_t count) {
    T* array = memory.zeros<T>(count);
    for (int64_t i = 0; i < count; ++i) number(array[i]);
    return array;
  }

 private:
  std::mt19937_64 bits_;
};

// ---- problems

template <class S, class T> Batch<S, T> draw_batch(Draw& draw, Memory& memory) {
  const int64_t small[] = {0, 1, 2, 7, 33, 200}, widths[] = {1, 3, 16, 17, 40, 130};
  const int64_t sets = draw.below(12), heads = 1 + draw.below(3), width = draw.one_of(widths), steps = 1 + draw.below(5);
  const int64_t large = draw.coin() ? -1 : draw.below(12);  // a set that is cut into chunks
  int64_t* ptr = memory.zeros<int64_t>(sets + 1);
  for (int64_t set = 0; set < sets; ++set) ptr[set + 1] = ptr[set] + (set == large ? 60000 / width + 9 : draw.one_of(small));
  const int64_t nodes = ptr[sets], elements = nodes * heads * width;
  int64_t* order = draw.coin() ? memory.zeros<int64_t>(nodes) : nullptr;
  for (int64_t n = 0; order && n < nodes; ++n) {
    const int64_t place = draw.below(n + 1);
    order[n] = order[place], order[place] = n;
  }
  const S* scores = draw.numbers<S>(memory, elements);
  const S* values = draw.coin() ? draw.numbers<S>(memory, elements) : nullptr;
  const T* log_p0 = draw.coin() ? draw.numbers<T>(memory, heads * width) : nullptr;
  const T* log_q0 = draw.coin() ? draw.numbers<T>(memory, nodes * heads) : nullptr;
  return {scores, values, ptr, order, sets, heads, width, steps, log_p0, log_q0};
}

// A coefficient for all steps or each, for all sets or each, from `least` to `most` beyond it.
template <class S, class T> Coefficient<const T> draw_coefficient(Draw& draw, Memory& memory, const Batch<S, T>& batch, double most, double least = 0) {
  const int64_t rows = draw.coin() ? 1 : 1 + draw.below(batch.steps), sets = draw.coin() ? 1 : batch.sets;
  T* value = memory.zeros<T>(rows * sets * batch.heads);
  const double choices[] = {0, 1, -1};  // a limit, or anything between
  const double fixed = draw.one_of(choices);
  for (int64_t i = 0; i < rows * sets * batch.heads; ++i) value[i] = T(least + most * (fixed < 0 ? draw.uniform() : fixed));
  return {value, rows, sets * batch.heads, sets > 1 ? batch.heads : 0};
}

// The gradient of a coefficient, of every set.
template <class S, class T> Coefficient<T> of_every_set(Memory& memory, const Batch<S, T>& batch, const Coefficient<const T>& of) {
  return {memory.zeros<T>(of.rows * batch.sets * batch.heads), of.rows, batch.sets * batch.heads, batch.heads};
}

// Forward and backward of a problem that the seed names; all that was read and written.
template <class S, class T> Memory sinkhorn(const SolverTable<S, T>& table, int64_t seed) {
  Memory memory;
  Draw draw(seed);
  const Batch<S, T> batch = draw_batch<S, T>(draw, memory);
  const int64_t nodes = batch.ptr[batch.sets], pooled = batch.sets * batch.heads * batch.width, elements = nodes * batch.heads * batch.width;
  const double sharpness[] = {2, 2, 100};  // the last one for the log domain
  const auto t = draw_coefficient(draw, memory, batch, draw.one_of(sharpness));
  const Sinkhorn<S, T> problem{batch, t, draw_coefficient(draw, memory, batch, 1), draw_coefficient(draw, memory, batch, 1), t.rows == 1};
  const Parallel parallel{run_on_threads, thread_count};

  const SinkhornForward<S, T> out{memory.rubbish<T>(pooled), memory.rubbish<T>(batch.steps * pooled), memory.rubbish<T>(nodes * batch.heads),
                                  memory.rubbish<T>(batch.sets * batch.heads)};
  table.sinkhorn_forward(problem, out, parallel);

  const T* grad = draw.numbers<T>(memory, pooled);
  S* d_scores = memory.rubbish<S>(elements);
  S* d_values = batch.values ? memory.rubbish<S>(elements) : nullptr;
  const SinkhornBackward<S, T> io{out.pooled, out.log_sums, out.centre, grad, d_scores, d_values,
                                  of_every_set(memory, batch, problem.t), of_every_set(memory, batch, problem.r_p), of_every_set(memory, batch, problem.r_q),
                                  batch.log_p0 ? memory.zeros<T>(pooled) : nullptr, batch.log_q0 ? memory.zeros<T>(nodes * batch.heads) : nullptr};
  table.sinkhorn_backward(problem, io, parallel);
  return memory;
}

template <class S, class T> Memory badmm(const SolverTable<S, T>& table, int64_t seed, bool quadratic) {
  Memory memory;
  Draw draw(seed);
  const Batch<S, T> batch = draw_batch<S, T>(draw, memory);
  const int64_t nodes = batch.ptr[batch.sets], pooled = batch.sets * batch.heads * batch.width, elements = nodes * batch.heads * batch.width;
  const double sharpness[] = {2, 2, 100};
  const auto t = draw_coefficient(draw, memory, batch, draw.one_of(sharpness)), r_p = draw_coefficient(draw, memory, batch, 1);
  const auto r_q = draw_coefficient(draw, memory, batch, 1), rho = draw_coefficient(draw, memory, batch, 3, .3);
  const Badmm<S, T> problem{batch, t, r_p, r_q, rho, quadratic};
  const Parallel parallel{run_on_threads, thread_count};

  const BadmmForward<S, T> out{memory.rubbish<T>(pooled), memory.rubbish<T>((batch.steps + 1) * pooled), memory.rubbish<T>((batch.steps - 1) * nodes * batch.heads),
                               memory.rubbish<T>((batch.steps - 1) * batch.sets * batch.heads)};
  table.badmm_forward(problem, out, parallel);

  const T* grad = draw.numbers<T>(memory, pooled);
  S* d_scores = memory.rubbish<S>(elements);
  S* d_values = batch.values ? memory.rubbish<S>(elements) : nullptr;
  const BadmmBackward<S, T> io{{out.pooled, out.channel_log_sums, out.node_log_sums, out.masses}, grad, d_scores, d_values,
                               of_every_set(memory, batch, t), of_every_set(memory, batch, r_p), of_every_set(memory, batch, r_q), of_every_set(memory, batch, rho),
                               batch.log_p0 ? memory.zeros<T>(pooled) : nullptr, batch.log_q0 ? memory.zeros<T>(nodes * batch.heads) : nullptr};
  table.badmm_backward(problem, io, parallel);
  return memory;
}

Memory fixed_point(const FixedPointTable<double>& table, int64_t seed) {
  Memory memory;
  Draw draw(seed);
  Batch<double, double> batch = draw_batch<double, double>(draw, memory);
  batch.steps = 1;  // one coefficient for all
  const int64_t nodes = batch.ptr[batch.sets], pooled = batch.sets * batch.heads * batch.width, elements = nodes * batch.heads * batch.width;
  const double sharpness[] = {2, 2, 100}, tolerances[] = {1e-2, 1e-9};
  const auto t = draw_coefficient(draw, memory, batch, draw.one_of(sharpness)), r_p = draw_coefficient(draw, memory, batch, 1);
  const FixedPoint<double> problem{batch, t, r_p, draw_coefficient(draw, memory, batch, 1), draw.one_of(tolerances), 1 + draw.below(60)};
  const Parallel parallel{run_on_threads, thread_count};

  const int64_t problems = batch.sets * batch.heads;
  const FixedPointForward<double> out{memory.rubbish<double>(pooled), memory.rubbish<double>(nodes * batch.heads), memory.rubbish<bool>(problems),
                                      memory.rubbish<int64_t>(problems)};
  table.forward(problem, out, parallel);

  const double* grad = draw.numbers<double>(memory, pooled);
  double* d_scores = memory.rubbish<double>(elements);
  double* d_values = batch.values ? memory.rubbish<double>(elements) : nullptr;
  const FixedPointBackward<double> io{out.pooled, out.bias, grad, d_scores, d_values,
                                      of_every_set(memory, batch, problem.t), of_every_set(memory, batch, problem.r_p), of_every_set(memory, batch, problem.r_q),
                                      batch.log_p0 ? memory.zeros<double>(pooled) : nullptr, batch.log_q0 ? memory.rubbish<double>(nodes * batch.heads) : nullptr};
  table.backward(problem, io, parallel);
  return memory;
}

// ---- the check

template <class F> bool same_bits(const char* name, int64_t seed, F solve) {
  thread_count = 1;
  const Memory alone = solve();
  for (thread_count = 2; thread_count <= 3; ++thread_count)
    if (!(solve() == alone)) {
      std::printf("%s, batch %lld: %lld threads give other bits than one\n", name, (long long)seed, (long long)thread_count);
      return false;
    }
  return true;
}

template <class S, class T> bool run(const char* dtype, const SolverTable<S, T>& table, int64_t seed) {
  return same_bits(dtype, seed, [&] { return sinkhorn(table, seed); }) && same_bits(dtype, seed, [&] { return badmm(table, seed, false); }) &&
         same_bits(dtype, seed, [&] { return badmm(table, seed, true); });
}

}  // namespace

int main(int count, char** arguments) {
  const int64_t batches = count > 1 ? std::atoll(arguments[1]) : 20;
  const Kernels& chosen = kernels();
  bool passed = true;
  for (int64_t seed = 0; seed < batches; ++seed) {
    passed &= run("float32", chosen.float32, seed);
    passed &= run("float64", chosen.float64, seed);
    passed &= run("bfloat16", chosen.bfloat, seed);
    passed &= run("float16", chosen.half, seed);
    passed &= same_bits("fixed point", seed, [&] { return fixed_point(chosen.fixed_point, seed); });
  }
  std::printf("%s: %lld batches, %s\n", chosen.name, (long long)batches, passed ? "the same bits" : "FAILED");
  return passed ? 0 : 1;
}
