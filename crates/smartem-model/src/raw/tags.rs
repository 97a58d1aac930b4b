//! What kind of value each cell of a column holds.

/// The kind of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Absent,
    Null,
    Integer,
    Real,
    Time(u8),
    Text,
    Json,
}

/// The kinds of the cells of a column, in order of row.
///
/// In most columns all are the same; then it is kept once.
#[derive(Clone, Debug)]
pub(super) struct Tags {
    /// The kind of all cells, while `each` is empty.
    same: Tag,
    /// The kind of each cell, from the first that differed on.
    each: Vec<Tag>,
    len: usize,
}

impl Tags {
    pub(super) fn new() -> Self {
        Self {
            same: Tag::Absent,
            each: Vec::new(),
            len: 0,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<Tag> {
        match self.uniform() {
            Some(tag) => (row < self.len).then_some(tag),
            None => self.each.get(row).copied(),
        }
    }

    /// The kind of all cells, when they are of one kind.
    #[inline]
    pub(super) fn uniform(&self) -> Option<Tag> {
        self.each.is_empty().then_some(self.same)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Tag> {
        let uniform = self.uniform();
        (0..self.len).map(move |row| uniform.unwrap_or_else(|| self.each[row]))
    }

    #[inline]
    pub(super) fn push(&mut self, tag: Tag) {
        if self.goes_on(tag) {
            self.len += 1;
        } else {
            self.resize_mixed(self.len + 1, tag);
        }
    }

    /// Cuts off cells, or appends cells of this kind.
    pub(super) fn resize(&mut self, len: usize, tag: Tag) {
        if len > self.len && !self.goes_on(tag) {
            self.resize_mixed(len, tag);
        } else {
            self.each.truncate(len);
            self.len = len;
        }
    }

    /// Whether a cell of this kind leaves the column of one kind; the first cell says which.
    #[inline]
    fn goes_on(&mut self, tag: Tag) -> bool {
        if self.len == 0 {
            self.same = tag;
        }
        self.each.is_empty() && self.same == tag
    }

    #[cold]
    fn start_mixed(&mut self) {
        self.each = vec![self.same; self.len];
    }

    fn resize_mixed(&mut self, len: usize, tag: Tag) {
        if self.each.is_empty() {
            self.start_mixed();
        }
        self.each.resize(len, tag);
        self.len = len;
    }
}

impl PartialEq for Tags {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_come_back_in_order_whether_they_are_the_same_or_not() {
        let mut tags = Tags::new();
        let mut expected = Vec::new();
        for tag in [Tag::Null, Tag::Null, Tag::Real, Tag::Time(3), Tag::Null] {
            tags.push(tag);
            expected.push(tag);
            assert_eq!(tags.iter().collect::<Vec<_>>(), expected);
            assert_eq!(tags.get(expected.len() - 1), Some(tag));
            assert_eq!(tags.get(expected.len()), None);
        }
        assert_eq!(tags.uniform(), None);
        tags.resize(2, Tag::Real);
        let mut same = Tags::new();
        same.resize(2, Tag::Null);
        assert_eq!(tags, same);
        assert_eq!(same.uniform(), Some(Tag::Null));
        tags.resize(0, Tag::Real);
        tags.push(Tag::Text);
        assert_eq!((tags.len(), tags.uniform()), (1, Some(Tag::Text)));
        tags.resize(3, Tag::Real);
        assert_eq!(
            tags.iter().collect::<Vec<_>>(),
            [Tag::Text, Tag::Real, Tag::Real]
        );
    }
}
