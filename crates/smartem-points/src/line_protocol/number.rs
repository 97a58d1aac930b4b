//! Numbers, read where they stand.

/// A number and where it ends.
pub(super) enum Number {
    Float(f64),
    Integer(i64),
}

/// Powers of ten that a float holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Whole numbers up to here are floats without rounding.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// So many digits always fit into 64 bits, also signed.
const SAFE_DIGITS: usize = 18;

/// A number in the usual form, `-12`, `-12.5`, `12e-3` or `12i`, at the beginning of `text`, and how
/// many bytes it has. What follows is not looked at. `None`: it is in no such form.
#[inline]
pub(super) fn plain_number(text: &[u8]) -> Option<(Number, usize)> {
    let negative = text.first() == Some(&b'-');
    let begin = usize::from(negative);
    let (mut mantissa, mut at) = digits(text, begin, 0);
    let whole = at - begin;
    if whole == 0 {
        return None;
    }
    let mut decimals = 0;
    match text.get(at) {
        Some(b'.') => {
            let point = at;
            (mantissa, at) = digits(text, point + 1, mantissa);
            decimals = at - point - 1;
            if decimals == 0 {
                return None;
            }
        }
        Some(b'i') if whole <= SAFE_DIGITS => {
            let value = mantissa.cast_signed();
            let value = if negative { -value } else { value };
            return Some((Number::Integer(value), at + 1));
        }
        _ => {}
    }
    let exponent = matches!(text.get(at), Some(b'e' | b'E'));
    if exponent {
        at = exponent_end(text, at + 1)?;
    }
    if exponent || whole + decimals > SAFE_DIGITS || mantissa > EXACT {
        return Some((Number::Float(float(&text[..at])?), at));
    }
    // Both are exact, so their quotient is rounded once, as it must be.
    let value = mantissa as f64 / POWERS[decimals];
    Some((Number::Float(if negative { -value } else { value }), at))
}

/// Appends the digits from `at` on to `mantissa`, which is of no use when they are too many.
#[inline]
fn digits(text: &[u8], mut at: usize, mut mantissa: u64) -> (u64, usize) {
    while let Some(byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (mantissa, at)
}

fn exponent_end(text: &[u8], at: usize) -> Option<usize> {
    let begin = at + usize::from(matches!(text.get(at), Some(b'+' | b'-')));
    let (_, end) = digits(text, begin, 0);
    (end > begin).then_some(end)
}

/// A whole number of at most 18 digits and how many bytes it has.
#[inline]
pub(super) fn plain_integer(text: &[u8]) -> Option<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let begin = usize::from(negative);
    let (value, end) = digits(text, begin, 0);
    // One digit more than is always safe: times in nanoseconds have 19.
    if end == begin || end - begin > SAFE_DIGITS + 1 {
        return None;
    }
    let value = i64::try_from(value).ok()?;
    Some((if negative { -value } else { value }, end))
}

/// A decimal float; `None` where it is none, or not finite.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    let known = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !text.iter().all(known) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Why an integer is none.
pub(super) enum IntegerError {
    Syntax,
    Range,
}

/// A whole number that fits into `T`; a `+` is no sign here.
pub(super) fn integer<T: std::str::FromStr>(text: &[u8]) -> Result<T, IntegerError> {
    let body = text.strip_prefix(b"-").unwrap_or(text);
    if body.is_empty() || !body.iter().all(u8::is_ascii_digit) {
        return Err(IntegerError::Syntax);
    }
    let text = std::str::from_utf8(text).map_err(|_| IntegerError::Syntax)?;
    text.parse().map_err(|_| IntegerError::Range)
}

/// The words for true and false that both dialects know.
pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => Some(true),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}
