//! Names that others gave, kept so that they come back as they were.
//!
//! PostgreSQL has no character of number 0, so it is written `\0`, and a backslash `\\`.

use std::borrow::Cow;

use crate::postgres::fault::Fault;

pub(in crate::postgres) fn kept(name: &str) -> Cow<'_, str> {
    if name.contains(['\0', '\\']) {
        name.replace('\\', "\\\\").replace('\0', "\\0").into()
    } else {
        name.into()
    }
}

pub(in crate::postgres) fn given(kept: &str) -> Result<Cow<'_, str>, Fault> {
    if !kept.contains('\\') {
        return Ok(kept.into());
    }
    let mut name = String::with_capacity(kept.len());
    let mut characters = kept.chars();
    while let Some(character) = characters.next() {
        let meant = match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('0') => '\0',
                _ => return Err(Fault::unknown("a name with a backslash", kept)),
            },
            other => other,
        };
        name.push(meant);
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_it_was() {
        for name in [
            "",
            "no2",
            "a\0b",
            "\0\0",
            "\\0",
            "\\\0",
            "a\\\\0\0\\",
            "é\0",
        ] {
            let kept = kept(name);
            assert!(!kept.contains('\0'));
            assert_eq!(given(&kept).unwrap(), name);
        }
        assert!(given("a\\").is_err() && given("\\n").is_err());
    }
}
