//! Names and filters of topics (MQTT 3.1.1, 4.7).

/// Whether a message can be published to this.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['+', '#', '\0'])
}

/// Whether this can be subscribed to: `+` stands for one level, `#` for all that follow.
pub(crate) fn is_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        match level {
            "#" if !last => return false,
            "#" | "+" => {}
            other if other.contains(['+', '#']) => return false,
            _ => {}
        }
    }
    true
}

/// Whether a filter takes a topic. Topics that begin with `$` are the broker's own and taken by no
/// wildcard in the first level.
pub(crate) fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = name.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match names.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_what_the_standard_says() {
        let taken = [
            ("a/b", "a/b"),
            ("a/+", "a/b"),
            ("a/+/c", "a/b/c"),
            ("#", "a/b/c"),
            ("a/#", "a"),
            ("a/#", "a/b/c"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/up"),
            ("a/+", "a/"),
        ];
        for (filter, name) in taken {
            assert!(matches(filter, name), "{filter} takes {name}");
        }
        let left = [
            ("a/b", "a/b/c"),
            ("a/+", "a"),
            ("a/+", "a/b/c"),
            ("+", "/finance"),
            ("#", "$SYS/up"),
            ("+/up", "$SYS/up"),
            ("a", "A"),
        ];
        for (filter, name) in left {
            assert!(!matches(filter, name), "{filter} leaves {name}");
        }
    }

    #[test]
    fn bad_names_and_filters_are_known() {
        for filter in ["", "a/#/b", "a#", "a+/b", "a\0"] {
            assert!(!is_filter(filter), "{filter:?}");
        }
        for filter in ["#", "+", "a/+/b/#", "/", "a//b"] {
            assert!(is_filter(filter), "{filter:?}");
        }
        for name in ["", "a/+", "#", "a\0b"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
