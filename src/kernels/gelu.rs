//! The exponential function, and the GELU made of it.

use pulp::Simd;

/// The Gaussian error linear unit (Hendrycks & Gimpel 2016), in one of its two forms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gelu {
    /// `x P(X <= x)` of a standard normal X.
    Exact,
    /// Its approximation by a hyperbolic tangent.
    Tanh,
}

impl Gelu {
    /// Of each value.
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        match self {
            Gelu::Exact => exact(simd, x),
            Gelu::Tanh => tanh(simd, x),
        }
    }
}

/// `x / (1 + exp(-2 u))`, as half of one plus the tangent of u is; u = sqrt(2 / pi) (x + 0.044715 x^3).
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let [one, cubic] = [1.0, 0.044_715].map(|value| simd.splat_f32s(value));
    let factor =
        simd.splat_f32s(-2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2);
    let inner = simd.mul_add_e_f32s(simd.mul_f32s(cubic, x), x, one);
    let exponent = simd.mul_f32s(simd.mul_f32s(factor, x), inner);
    simd.div_f32s(x, simd.add_f32s(one, exp(simd, exponent)))
}

/// `max(0, x) - |x| / 2 erfc(|x| / sqrt 2)`, with the complementary error function to 1.5e-7: Abramowitz & Stegun 1964, 7.1.26,
/// its factors rounded to single precision.
#[inline(always)]
fn exact<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let size = simd.abs_f32s(x);
    let root = simd.mul_f32s(size, splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = simd.div_f32s(splat(1.0), simd.mul_add_e_f32s(splat(0.327_591_1), root, splat(1.0)));
    let terms = [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];
    let start = splat(1.061_405_4);
    let series =
        terms.into_iter().fold(start, |sum, term| simd.mul_add_e_f32s(sum, t, splat(term)));
    let bell = exp(simd, simd.mul_f32s(simd.mul_f32s(x, x), splat(-0.5)));
    let beyond = simd.mul_f32s(simd.mul_f32s(series, t), bell);
    let half = simd.mul_f32s(size, splat(0.5));
    simd.sub_f32s(simd.max_f32s(splat(0.0), x), simd.mul_f32s(half, beyond))
}

/// e^x to 3e-7 of itself. What is below -87 counts as that, what is above 88 as 88: single precision ends there.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    // In this order NaN stays NaN.
    let x = simd.min_f32s(splat(88.0), simd.max_f32s(splat(-87.0), x));
    // x = n ln 2 + r. A sum with 1.5 * 2^23 is rounded to a whole number, which its last bits then are.
    let magic = splat(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), magic);
    let n = simd.sub_f32s(shifted, magic);
    // ln 2 in two parts, the first of which has so few bits that its products with n are exact.
    let r = simd.mul_add_e_f32s(n, splat(-355.0 / 512.0), x);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);
    // Taylor's series; |r| is at most ln 2 / 2.
    let terms = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let start = splat(1.0 / 720.0);
    let power = terms.into_iter().fold(start, |sum, term| simd.mul_add_e_f32s(sum, r, splat(term)));
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    // Adding n to the exponent multiplies by 2^n; the sum is within single precision's range by the bounds of x.
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), exponent))
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Each<'a, F>(&'a mut [f32], F);

    trait Of {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s;
    }

    struct Exp;

    impl Of for Exp {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            exp(simd, x)
        }
    }

    impl Of for Gelu {
        fn of<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s {
            self.apply(simd, x)
        }
    }

    impl<F: Of> WithSimd for Each<'_, F> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let (registers, rest) = S::as_mut_simd_f32s(self.0);
            assert!(rest.is_empty());
            registers.iter_mut().for_each(|x| *x = self.1.of(simd, *x));
        }
    }

    fn values() -> Vec<f32> {
        (0..16_000).map(|index| (index as f32 - 8000.0) * 1e-3).collect()
    }

    fn applied(function: impl Of, mut values: Vec<f32>) -> Vec<f32> {
        Arch::new().dispatch(Each(&mut values, function));
        values
    }

    /// The distribution function of a standard normal: its series (Abramowitz & Stegun 1964, 26.2.11).
    fn normal(x: f64) -> f64 {
        let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (mut term, mut sum) = (x, x);
        for k in 1..300 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 + density * sum
    }

    #[test]
    fn exponentials_are_those_of_double_precision() {
        let values: Vec<f32> = values().into_iter().map(|x| x * 10.8).collect();
        for (x, found) in values.iter().zip(applied(Exp, values.clone())) {
            let expected = f64::from(*x).exp();
            assert!((f64::from(found) / expected - 1.0).abs() < 3e-7, "{x}: {found}, {expected}");
        }
        let ends = [f32::NEG_INFINITY, f32::NAN, -200.0, 0.0].repeat(4);
        let found = applied(Exp, ends);
        assert!(found[0] < 1e-37 && found[1].is_nan() && found[2] < 1e-37 && found[3] == 1.0);
    }

    #[test]
    fn both_forms_are_those_of_double_precision() {
        let tangent = |x: f64| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * (1.0 + inner.tanh())
        };
        let forms: [(Gelu, &dyn Fn(f64) -> f64); 2] =
            [(Gelu::Exact, &normal), (Gelu::Tanh, &tangent)];
        for (gelu, share) in forms {
            for (x, found) in values().iter().zip(applied(gelu, values())) {
                let expected = f64::from(*x) * share(f64::from(*x));
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error < 6e-7 * f64::from(x.abs()).max(1.0),
                    "{gelu:?} of {x}: {found}, {expected}"
                );
            }
            let ends = applied(gelu, [f32::NAN, 1e4, -1e4, 0.0].repeat(4));
            assert!(ends[0].is_nan(), "{gelu:?}");
            assert!(
                ends[1] == 1e4 && ends[2].abs() < 1e-30 && ends[3] == 0.0,
                "{gelu:?}: {ends:?}"
            );
        }
    }
}
