// The kernels of one instruction set, and the choice among those that this machine can run.
#pragma once
#include <string>

#include "problem.h"
#include "vec.h"

namespace uotp {

struct Kernels {
  const char* name;
  SolverTable<float, float> float32;
  SolverTable<double, double> float64;
  SolverTable<bfloat16, float> bfloat;
  SolverTable<float16, float> half;
  FixedPointTable<double> fixed_point;
};

// Those in use: of the widest set of this machine, of the one that the environment variable UOTP_ISA names if this machine has it, or
// of the one that was asked for last.
const Kernels& kernels();

// The names of the sets that this machine can run, the widest first, with commas in between.
std::string instruction_sets();

// Use another set from now on; false where this machine does not have it.
bool use_instruction_set(const std::string& name);

// Use the kernels of another library, compiled from the same sources (native_build.py, build_lowered), and return the name of their set.
std::string use_kernels_of(const std::string& library);

}  // namespace uotp
