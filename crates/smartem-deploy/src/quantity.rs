//! Amounts as Kubernetes writes them: `50m`, `64Mi`, `1`.

/// An amount in thousandths, so that fractions of a processor are whole; `None` when it is none.
pub fn thousandths(text: &str) -> Option<i128> {
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: i128 = match unit {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut sum = whole.parse::<i128>().ok()? * scale;
    let mut part = scale;
    for digit in fraction.chars() {
        part /= 10;
        sum += i128::from(digit.to_digit(10)?) * part;
    }
    Some(sum)
}

/// An amount in whole units, such as bytes.
pub fn units(text: &str) -> Option<i128> {
    thousandths(text).map(|amount| amount / 1000)
}

/// Bytes in MiB, rounded up.
pub fn mebibytes(bytes: i128) -> i128 {
    (bytes + (1 << 20) - 1) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units() {
        assert_eq!(thousandths("50m"), Some(50));
        assert_eq!(thousandths("1.5"), Some(1500));
        assert_eq!(units("64Mi"), Some(64 << 20));
        assert_eq!(units("0.5Gi"), Some(512 << 20));
        assert_eq!(units("2k"), Some(2000));
        assert_eq!(thousandths("many"), None);
        assert_eq!(thousandths("1Zi"), None);
    }
}
