// The adjoint of badmm_step.h, element by element.
//
// With a bar (here `d_`) for adjoints, zeta for that of Z, K the exponent in (3), and brackets for the quadratic regulariser, the output is
//
//   (6)  d_Y_nd = d_f_d pi_nd (x_nd - f_d),   d_M = d_Y,   zeta = -d_Y / rho                                        of the last step
//
// and a step, entered with the d_M' and rho' of the step after it and with zeta,
//
//   (7)  G_nd = d_M'_nd - S_nd (rho zeta_nd + [d_M'_nd / rho']),   d_v_n = sum_d G_nd,   T = sum_n d_v_n
//   (8)  d_K_nd = G_nd + omega_nd d_c_n,                           d_c_n = -s_q d_v_n - (1 - s_q) eta_n T
//   (9)  d_u_d = sum_n P_nd (rho zeta_nd - [d_K_nd / rho]) + theta d_K_nd,   d_r_d = -s_p d_u_d - (1 - s_p) mu_d sum_d d_u_d
//  (10)  d_Y_nd = P_nd (rho zeta_nd - [d_K_nd / rho]) + pi_nd d_r_d
//  (11)  d_M = d_Y + theta d_K,   d_x += t / rho d_M,   zeta <- zeta - d_Y / rho
#pragma once
#include "badmm_step.h"

namespace uotp {
namespace UOTP_ISA {

// Of an element: pi and omega of the steps but the last, Z, zeta, G (M on the walk), and the gradient of the score so far.
template <class T> struct BadmmTiles {
  T* memory;
  int64_t size, steps;
  T* pi(int64_t k) const { return memory + 2 * k * size; }
  T* omega(int64_t k) const { return memory + (2 * k + 1) * size; }
  T* z() const { return memory + 2 * steps * size; }
  T* zeta() const { return z() + size; }
  T* g() const { return z() + 2 * size; }
  T* d_x() const { return z() + 3 * size; }
  BadmmState<T> state() const { return {z(), g()}; }
};

// What the elements of a block go through in step k. Everything is a copy, which the loop around can keep in registers.
// Steps that share rho share the scale of Z, which cancels: its adjoint has no part in that of rho.
template <class S, class T, bool quadratic, bool shares_rho> struct BadmmElements {
  const BadmmStep<T> now, before;
  const T inverse;
  const int64_t padded;
  T *const z, *const zeta, *const g, *const d_x, *const m;
  const T *const pi, *const omega, *const omega_before;                                       // elements
  const T *const r, *const mu, *const a, *const next, *const d_r, *const grad, *const mean, *const log_p0;  // channels
  const T *const b, *const eta, *const eta_before, *const log_q0;                             // nodes
  const S* const values;
  S *const d_values, *const d_scores;

  BadmmElements(const BadmmRecursion<S, T, quadratic>& of, const BadmmTiles<T>& tiles, const BadmmNodes<T>& nodes, int64_t k, const T* d_r, const T* grad, const T* mean,
                S* d_scores, S* d_values)
      : now(of.coefficient[k]), before(of.coefficient[k ? k - 1 : 0]), inverse(1 / now.rho), padded(of.rows.padded), z(tiles.z()), zeta(tiles.zeta()), g(tiles.g()),
        d_x(tiles.d_x()), m(tiles.state().m), pi(tiles.pi(k)), omega(tiles.omega(k)), omega_before(tiles.omega(k ? k - 1 : 0)), r(of.channels.at(of.channels.r, k)),
        mu(of.channels.at(of.channels.mu, k)), a(of.channels.at(of.channels.a, k)), next(of.next(k)), d_r(d_r), grad(grad), mean(mean), log_p0(of.channels.log_p0),
        b(nodes.at(nodes.b, k)), eta(nodes.at(nodes.eta, k)), eta_before(nodes.at(nodes.eta, k ? k - 1 : 0)), log_q0(nodes.log_q0), values(of.values()), d_values(d_values),
        d_scores(d_scores) {}

  // (6)
  UOTP_INLINE Vec<T> output(const Block<S, T>& block, int i, int64_t at, int lanes, Vec<T> x, Vec<T>& d_rho) const {
    const int64_t place = i * padded + at;
    const Vec<T> dual = load(z + place), exponent = (quadratic ? load(m + place) : now.slope * x + (load(a + at) + b[i])) - now.dual * dual;
    const Vec<T> direct = load(grad + at) * exp2_down<T>(exponent - load(r + at) - load(r + padded + at));
    const Vec<T> d_y = direct * ((d_values ? load(block.row(values, i) + at, lanes) : x) - load(mean + at));
    if (d_values) store(block.row(d_values, i) + at, direct, lanes);
    if (!shares_rho) d_rho += dual * d_y * (inverse * inverse);
    store(zeta + place, -inverse * d_y);
    store(d_x + place, d_values ? now.t * inverse * d_y : now.t * inverse * d_y + direct);
    return d_y;
  }

  // (8), (10), (11)
  UOTP_INLINE Vec<T> step(int i, int64_t at, T d_c, Vec<T> x, Vec<T>& d_rho) const {
    const int64_t place = i * padded + at;
    const Vec<T> weight = load(pi + place), of_row = load(omega + place), dual = load(zeta + place), p = weight * load(mu + at);
    const Vec<T> d_k = load(g + place) + of_row * d_c;
    const Vec<T> pull = quadratic ? now.rho * dual - inverse * d_k : now.rho * dual;
    const Vec<T> d_y = p * pull + weight * load(d_r + at), d_m = d_y + now.theta * d_k;
    if (!shares_rho) {
      const Vec<T> difference = p - of_row * eta[i], left = load(z + place) - now.rho * difference;
      d_rho += dual * difference + left * d_y * (inverse * inverse);
      store(z + place, left);
    }
    if (quadratic) d_rho += p * d_k * (inverse * inverse);
    else d_rho += BadmmRecursion<S, T, quadratic>::kernel(now, x, x, p, load(next + at), b[i]) * d_k * (inverse * (1 - now.theta) / Format<T>::log2e);
    store(zeta + place, dual - inverse * d_y);
    store(d_x + place, load(d_x + place) + now.t * inverse * d_m);
    return d_m;
  }

  // (7) of the step before; S is in rho too.
  UOTP_INLINE Vec<T> enter(int i, int64_t at, Vec<T> d_m, Vec<T>& d_rho) const {
    const int64_t place = i * padded + at;
    const Vec<T> s = load(omega_before + place) * eta_before[i], pull = before.rho * load(zeta + place);
    const Vec<T> left = d_m - s * (quadratic ? pull + inverse * d_m : pull);
    if (quadratic) d_rho += s * d_m * (inverse * inverse);
    store(g + place, left);
    return left;
  }

  // What is left before the first step: the gradient is complete, and the priors are S.
  UOTP_INLINE Vec<T> leave(const Block<S, T>& block, int i, int64_t at, int lanes, Vec<T> d_m, Vec<T>& d_rho) const {
    const int64_t place = i * padded + at;
    store(block.row(d_scores, i) + at, load(d_x + place), lanes);
    const Vec<T> shrunk = quadratic ? exp2_down<T>(load(log_p0 + at) + log_q0[i]) * d_m * inverse : Vec<T>{}, left = d_m - shrunk;
    d_rho += shrunk * inverse;
    store(g + place, left);
    return left;
  }
};

}  // namespace UOTP_ISA
}  // namespace uotp
