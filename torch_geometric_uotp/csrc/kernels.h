// The kernels of one instruction set, and the choice among those that this machine can run.
#pragma once
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

// The widest set of this machine, or the one named by the environment variable UOTP_ISA if this machine has it.
const Kernels& kernels();

}  // namespace uotp
