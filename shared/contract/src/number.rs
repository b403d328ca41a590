//! Numbers of programs that know floating-point numbers only, as game engines' scripts do: 8.0 is
//! an integer.
//!
//! It knows no format: whoever reads JSON or MessagePack asks it.

/// The largest integer to which a floating-point number is exact: 2⁵³. Of what is larger nobody
/// knows whether it was meant.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The integer that a floating-point number stands for; none when it has a fraction or is not
/// exact.
#[must_use]
pub fn integer_of(value: f64) -> Option<i64> {
    let is_integer = value.fract() == 0.0 && value.abs() <= EXACT_MAX;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it has no fraction, and its size was looked at"
    )]
    is_integer.then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_fraction_is_an_integer() {
        for (value, integer) in [(8.0, 8), (-100.0, -100), (0.0, 0), (-0.0, 0)] {
            assert_eq!(integer_of(value), Some(integer));
        }
        assert_eq!(integer_of(EXACT_MAX), Some(1 << 53));
    }

    #[test]
    fn what_has_one_or_is_not_exact_is_none() {
        for value in [0.5, -1e-9, EXACT_MAX * 2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(integer_of(value), None, "{value}");
        }
    }
}
