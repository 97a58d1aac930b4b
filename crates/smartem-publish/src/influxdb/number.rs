//! Numbers as Python writes them, which is what readers of these databases are used to.

/// A finite number as text that is always recognised as real: `300.0`, `286.113944648`, `1e+16`.
///
/// With `digits` it is rounded to so many significant ones (Python 2's `str` has 12); without, it
/// is the shortest text that reads back as the same number (Python 3's `repr`). `digits` must be at
/// least 1.
pub(super) fn real(value: f64, digits: Option<u8>) -> String {
    let scientific = match digits {
        Some(digits) => format!("{value:.*e}", usize::from(digits.max(1)) - 1),
        None => format!("{value:e}"),
    };
    // `{:e}` always has an exponent, and it is a small integer.
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let all: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let figures = match all.trim_end_matches('0') {
        "" => "0",
        figures => figures,
    };
    let first_scientific = digits.map_or(16, i32::from);
    if exponent < -4 || exponent >= first_scientific {
        let (head, tail) = figures.split_at(1);
        let point = if tail.is_empty() { "" } else { "." };
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{head}{point}{tail}e{direction}{:02}", exponent.abs());
    }
    if let Ok(exponent) = usize::try_from(exponent) {
        let whole = exponent + 1;
        let figures = format!("{figures:0<whole$}");
        let (whole, fraction) = figures.split_at(whole);
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        format!("{sign}{whole}.{fraction}")
    } else {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        format!("{sign}0.{zeros}{figures}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn twelve_digits_are_those_of_python_2() {
        for (value, text) in [
            (300.0, "300.0"),
            (286.113_944_647_812_34, "286.113944648"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (1e12, "1e+12"),
            (123_456_789_012.0, "123456789012.0"),
            (1_234_567_890_123.0, "1.23456789012e+12"),
            (999_999_999_999.5, "1e+12"),
            (0.000_1, "0.0001"),
            (0.000_012_3, "1.23e-05"),
            (-1.5e-300, "-1.5e-300"),
            (0.1 + 0.2, "0.3"),
            (2.0 / 3.0, "0.666666666667"),
        ] {
            assert_eq!(real(value, Some(12)), text);
        }
    }

    #[test]
    fn without_a_number_of_digits_none_is_lost() {
        for (value, text) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789.123, "123456789.123"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.000_1, "0.0001"),
            (0.000_01, "1e-05"),
        ] {
            assert_eq!(real(value, None), text);
        }
    }

    proptest! {
        #[test]
        fn the_text_reads_back_as_the_number(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(real(value, None).parse::<f64>().unwrap().to_bits(), value.to_bits());
            let near: f64 = real(value, Some(12)).parse().unwrap();
            prop_assert!((near - value).abs() <= value.abs() * 1e-11 + 1e-320);
        }
    }
}
