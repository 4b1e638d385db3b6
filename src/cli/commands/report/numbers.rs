//! Numbers as the page shows them.

/// What stands where there is no number.
pub const NONE: &str = "–";

/// A number with so many decimal places, where there is one.
pub fn decimal(value: impl Into<Option<f64>>, places: usize) -> String {
    known(value.into()).map_or(NONE.to_owned(), |value| format!("{value:.places$}"))
}

/// A fraction in percent, where there is one.
pub fn percent(fraction: impl Into<Option<f64>>) -> String {
    known(fraction.into()).map_or(NONE.to_owned(), |fraction| format!("{:.0} %", 100.0 * fraction))
}

fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|value| !value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_a_dash() {
        assert_eq!(decimal(0.9876, 3), "0.988");
        assert_eq!(decimal(Some(1.0), 2), "1.00");
        assert_eq!(percent(0.126), "13 %");
        assert_eq!(percent(Some(1.0)), "100 %");
        for text in [decimal(f64::NAN, 2), decimal(None, 2), percent(f64::NAN), percent(None)] {
            assert_eq!(text, "–");
        }
    }
}
