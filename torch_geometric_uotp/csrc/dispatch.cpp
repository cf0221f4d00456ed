// The choice among the kernels of several instruction sets.
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "kernels.h"

namespace uotp {

namespace baseline { extern const Kernels kernels; }
#if defined(UOTP_X86_VARIANTS)
namespace avx2 { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }
#endif

namespace {

// Those that this machine can run, the widest first.
std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> found;
#if defined(UOTP_X86_VARIANTS)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  if (has_avx512) found.push_back(&avx512::kernels);
  if (has_avx2) found.push_back(&avx2::kernels);
#endif
  found.push_back(&baseline::kernels);
  return found;
}

const Kernels* named(const char* name) {
  for (const Kernels* each : runnable())
    if (!std::strcmp(name, each->name)) return each;
  return nullptr;
}

const Kernels* first_choice() {
  const char* wanted = std::getenv("UOTP_ISA");
  const Kernels* found = wanted ? named(wanted) : nullptr;
  return found ? found : runnable().front();
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels{first_choice()};
  return kernels;
}

}  // namespace

const Kernels& kernels() { return *chosen().load(std::memory_order_relaxed); }

std::string instruction_sets() {
  std::string names;
  for (const Kernels* each : runnable()) names += (names.empty() ? "" : ",") + std::string(each->name);
  return names;
}

bool use_instruction_set(const std::string& name) {
  const Kernels* found = named(name.c_str());
  if (found) chosen() = found;
  return found;
}

std::string use_kernels_of(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw std::runtime_error(dlerror());
  const auto found = reinterpret_cast<const Kernels* (*)()>(dlsym(handle, "uotp_kernels"));
  if (!found) throw std::runtime_error(library + " has no kernels");
  chosen() = found();
  return kernels().name;
}

}  // namespace uotp
