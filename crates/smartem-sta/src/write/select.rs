//! What is selected of an entity.

use crate::{Property, Relation, SelectItem};

/// How much of a property is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// Members of its JSON, each by its path.
    Members(Vec<Vec<String>>),
}

/// The part of a property that a `$select` asks for; an empty one asks for everything but names nothing.
pub(super) fn part(select: &[SelectItem], property: Property) -> Option<Part> {
    if select.is_empty() {
        return Some(Part::Whole);
    }
    let mut paths = Vec::new();
    for item in select {
        match item {
            SelectItem::Property(it, members) if *it == property => paths.push(members.clone()),
            _ => {}
        }
    }
    match paths.iter().any(Vec::is_empty) {
        true => Some(Part::Whole),
        false if paths.is_empty() => None,
        false => Some(Part::Members(paths)),
    }
}

/// Whether a `$select` asks for the link of a relation.
pub(super) fn has_relation(select: &[SelectItem], relation: Relation) -> bool {
    select.is_empty()
        || select
            .iter()
            .any(|it| matches!(it, SelectItem::Relation(selected) if *selected == relation))
}
