/// The number of a payload: decimal digits with sign, point and exponent, with blanks around.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn number(payload: &[u8]) -> Result<f64, String> {
    let text = std::str::from_utf8(payload)
        .map_err(|_| "the payload is no text; send a plain number such as 21.5".to_owned())?;
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            let shown: String = text.chars().take(60).collect();
            Err(format!(
                "`{shown}` is no plain number; send one such as 21.5, with a point and without unit"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_are_numbers() {
        for (text, value) in [("21.5", 21.5), (" -3\n", -3.0), ("1e-3", 0.001), ("7", 7.0)] {
            assert_eq!(number(text.as_bytes()), Ok(value));
        }
        for text in ["", "NaN", "inf", "1e999", "21,5", "21.5 C", "0x10", "{}"] {
            assert!(number(text.as_bytes()).is_err(), "{text}");
        }
        assert!(number(b"\xff").is_err_and(|it| it.contains("no text")));
    }
}
