/// What a series is within its database: a measurement and tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The measurement, not empty.
    pub measurement: Box<str>,
    /// Key and value, sorted by key; each key once, none empty.
    pub tags: Box<[(Box<str>, Box<str>)]>,
}

impl SeriesKey {
    /// A key with these tags in any order; a tag with an empty value is no tag, and of two with the
    /// same key the first holds.
    pub fn new<'a>(measurement: &str, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tags: Vec<(Box<str>, Box<str>)> = tags
            .into_iter()
            .filter(|(key, value)| !key.is_empty() && !value.is_empty())
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        tags.sort_by(|a, b| a.0.cmp(&b.0));
        tags.dedup_by(|later, earlier| later.0 == earlier.0);
        Self {
            measurement: measurement.into(),
            tags: tags.into(),
        }
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let found = self
            .tags
            .binary_search_by(|(name, _)| name.as_ref().cmp(key));
        found.ok().map(|index| self.tags[index].1.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_sorted_and_each_key_is_there_once() {
        let key = SeriesKey::new("m", [("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        let tags: Vec<(&str, &str)> = key.tags.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(tags, [("a", "1"), ("b", "2")]);
        assert_eq!(key.tag("b"), Some("2"));
        assert_eq!(key.tag("c"), None);
    }
}
