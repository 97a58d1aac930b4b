/// The known word nearest to `word`, when it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // A distance grows with the product of both lengths, and no name is this long.
    if word.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&word, &name.to_lowercase()),
                name,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| distance * 2 <= name.len().max(2))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["indicator", "from", "to", "limit"];
        assert_eq!(nearest("indicater", known), Some("indicator"));
        assert_eq!(nearest("form", known), Some("from"));
        assert_eq!(nearest("LIMIT", known), Some("limit"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
