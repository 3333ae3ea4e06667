// exp, sin, cos, tanh, sigmoid on vectors. Private to model/kernels.
//
// Polynomials are the classic single-precision ones of Cephes; errors measured in the test: exp
// 2 ulp, sin and cos 2e-7 absolute up to |x| = 8000.
#pragma once

#include "model/kernels/vec.h"

namespace firstbyte::kernels {
namespace {

// Saturates instead of overflowing: e^88.3 above, 2^-126 below.
inline F Exp(F x) {
  x = Min(Max(x, Set(-87.0f)), Set(88.3f));
  F n = Round(x * Set(1.44269504f));
  // ln 2 in two parts, the first with few enough bits that n * part is exact.
  F r = Fma(n, Set(-0.693359375f), x);
  r = Fma(n, Set(2.12194440e-4f), r);
  F p = Set(1.9875691500e-4f);
  p = Fma(p, r, Set(1.3981999507e-3f));
  p = Fma(p, r, Set(8.3334519073e-3f));
  p = Fma(p, r, Set(4.1665795894e-2f));
  p = Fma(p, r, Set(1.6666665459e-1f));
  p = Fma(p, r, Set(5.0000001201e-1f));
  p = Fma(p, r * r, r) + Set(1.0f);
  return FromBits(Bits(p) + (ToInt(n) << 23));
}

inline F Sigmoid(F x) { return Set(1.0f) / (Set(1.0f) + Exp(-x)); }
inline F Silu(F x) { return x / (Set(1.0f) + Exp(-x)); }

inline F Tanh(F x) {
  const F one = Set(1.0f);
  F e = Exp(x * Set(-2.0f));  // near 0 the quotient loses relative, not absolute, accuracy
  return (one - e) / (one + e);
}

struct SinCosResult {
  F sin, cos;
};

inline SinCosResult SinCos(F x) {
  F n = Round(x * Set(0.636619772f));  // quarter turns
  F r = Fma(n, Set(-1.5703125f), x);   // pi / 2 in three parts
  r = Fma(n, Set(-4.837512969970703125e-4f), r);
  r = Fma(n, Set(-7.54978995489188216e-8f), r);
  F r2 = r * r;
  F s = Fma(Set(-1.9515295891e-4f), r2, Set(8.3321608736e-3f));
  s = Fma(s, r2, Set(-1.6666654611e-1f));
  s = Fma(s * r2, r, r);
  F c = Fma(Set(2.443315711809948e-5f), r2, Set(-1.388731625493765e-3f));
  c = Fma(c, r2, Set(4.166664568298827e-2f));
  c = Fma(c * r2, r2, Fma(r2, Set(-0.5f), Set(1.0f)));
  I quarter = ToInt(n);
  I swap = (quarter & 1) != 0;
  F sin = swap ? c : s, cos = swap ? s : c;
  I sin_sign = (quarter & 2) << 30, cos_sign = ((quarter + 1) & 2) << 30;
  return {FromBits(Bits(sin) ^ sin_sign), FromBits(Bits(cos) ^ cos_sign)};
}

// sin(pi * x) for |x| <= 1/2.
inline F SinPi(F x) {
  F t = x * x;
  F p = Set(4.6630280577e-4f);
  p = Fma(p, t, Set(-7.3704309457e-3f));
  p = Fma(p, t, Set(8.2145886611e-2f));
  p = Fma(p, t, Set(-0.59926452932f));
  p = Fma(p, t, Set(2.5501640398f));
  p = Fma(p, t, Set(-5.1677127800f));
  return x * Fma(p, t, Set(3.14159265359f));
}

}  // namespace
}  // namespace firstbyte::kernels
