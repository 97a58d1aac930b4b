//! What the path of a URL names (18-088, section 9.2).

use crate::{EntityType, Property, Relation};

/// A set of entities, an entity, or something of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourcePath {
    /// The set that it begins with.
    pub root: EntityType,
    /// The entity in that set.
    pub root_id: Option<i64>,
    /// Where it goes on.
    pub steps: Vec<PathStep>,
    /// What of it is asked for.
    pub target: Target,
}

/// A step from an entity along a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// Along this.
    pub relation: Relation,
    /// The entity among those it leads to; only where it leads to many.
    pub id: Option<i64>,
}

/// What is asked for of the entity or set at the end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Itself.
    Entities,
    /// Only links to the entities (`$ref`).
    References,
    /// Only their number (`$count`).
    Count,
    /// A property, and the members of its JSON that the path goes on with.
    Property(Property, Vec<String>),
    /// The value of it, without JSON around it (`$value`).
    RawValue(Property, Vec<String>),
}

impl ResourcePath {
    /// All entities of a type.
    pub fn set(root: EntityType) -> Self {
        Self {
            root,
            root_id: None,
            steps: Vec::new(),
            target: Target::Entities,
        }
    }

    /// One entity.
    pub fn entity(root: EntityType, id: i64) -> Self {
        Self {
            root_id: Some(id),
            ..Self::set(root)
        }
    }

    /// The type of what is at its end.
    pub fn entity_type(&self) -> EntityType {
        self.steps.last().map_or(self.root, |it| it.relation.to)
    }

    /// Whether it names one entity, not a set.
    pub fn is_single(&self) -> bool {
        match self.steps.last() {
            Some(step) => !step.relation.is_many || step.id.is_some(),
            None => self.root_id.is_some(),
        }
    }
}
