//! The path of a URL (18-088, section 9.2).

use crate::{
    EntityType, PathStep, Property, PropertyKind, Relation, ResourcePath, Target, Version,
};

use super::decode;
use super::error::{Fault, SyntaxError, excerpt, suggest};

/// The longest path, in bytes.
const PATH_MAX: usize = 4_096;
/// How many segments it may have.
const SEGMENTS_MAX: usize = 32;

impl ResourcePath {
    /// Reads what follows the version in the path of a URL, still percent-encoded: `Things(1)/Datastreams`.
    ///
    /// Keys may be in quotes and have blanks around them. A slash at the beginning or end means nothing.
    ///
    /// # Errors
    /// What is wrong, with its place in the decoded path; also when it is empty.
    pub fn parse(path: &str, version: Version) -> Result<Self, SyntaxError> {
        let without_place = |message: String| SyntaxError {
            option: None,
            at: None,
            message,
        };
        if path.len() > PATH_MAX {
            return Err(without_place(format!(
                "the path is longer than {PATH_MAX} bytes"
            )));
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut decoded = String::new();
        let mut segments = Vec::new();
        for raw in path.split('/') {
            let text = decode::decode(raw, false).ok_or_else(|| {
                without_place("the percent-encoded bytes of the path are no UTF-8".to_owned())
            })?;
            if !segments.is_empty() {
                decoded.push('/');
            }
            segments.push(Segment {
                at: decoded.len(),
                text: text.clone(),
            });
            decoded.push_str(&text);
        }
        read(&segments, version).map_err(|fault| fault.within(None, &decoded))
    }
}

/// What stands between two slashes, decoded.
#[derive(Debug)]
struct Segment {
    /// Where in the decoded path, in bytes.
    at: usize,
    text: String,
}

impl Segment {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.at, message)
    }

    /// Its name and the key in parentheses after it.
    fn name_and_id(&self) -> Result<(&str, Option<i64>), Fault> {
        let Some((name, rest)) = self.text.split_once('(') else {
            return Ok((self.text.trim(), None));
        };
        let at = self.at + name.len() + 1;
        let Some(key) = rest.trim_end().strip_suffix(')') else {
            return Err(Fault::new(at - 1, "this `(` is not closed"));
        };
        Ok((name.trim(), Some(parse_id(key, at)?)))
    }
}

/// A key: a whole number, perhaps in quotes.
fn parse_id(key: &str, at: usize) -> Result<i64, Fault> {
    let key = key.trim();
    let unquoted = key
        .strip_prefix('\'')
        .and_then(|key| key.strip_suffix('\''))
        .unwrap_or(key)
        .trim();
    unquoted.parse().map_err(|_| {
        Fault::new(
            at,
            format!(
                "`{}` is no id; ids are whole numbers, as in `Things(1)`",
                excerpt(key)
            ),
        )
    })
}

fn read(segments: &[Segment], version: Version) -> Result<ResourcePath, Fault> {
    if let Some(excess) = segments.get(SEGMENTS_MAX) {
        return Err(excess.fault(format!("the path has more than {SEGMENTS_MAX} segments")));
    }
    let Some((first, rest)) = segments.split_first() else {
        return Err(Fault::new(0, "the path is empty"));
    };
    let (name, root_id) = first.name_and_id()?;
    let root = EntityType::of_set(name, version).ok_or_else(|| no_set(first, name, version))?;
    let mut path = ResourcePath {
        root,
        root_id,
        steps: Vec::new(),
        target: Target::Entities,
    };
    for (index, segment) in rest.iter().enumerate() {
        let after = &rest[index + 1..];
        match segment.text.as_str() {
            "" => return Err(segment.fault("there are two slashes with nothing between them")),
            "$ref" => {
                path.target = Target::References;
                return ended(path, "$ref", after);
            }
            "$count" if path.is_single() => {
                return Err(segment.fault("`$count` follows a set, and this is one entity"));
            }
            "$count" => {
                path.target = Target::Count;
                return ended(path, "$count", after);
            }
            "$value" => {
                return Err(
                    segment.fault("`$value` follows a property, as in `Things(1)/name/$value`")
                );
            }
            _ => {}
        }
        if !path.is_single() {
            return Err(beyond_a_set(&path, segment, version));
        }
        let (name, id) = segment.name_and_id()?;
        let of = path.entity_type();
        if let Some(relation) = Relation::of_name(of, name, version) {
            if id.is_some() && !relation.is_many {
                return Err(segment.fault(format!("`{name}` leads to one entity and takes no id")));
            }
            path.steps.push(PathStep { relation, id });
        } else if let Some(property) = Property::of_name(of, name).filter(|_| id.is_none()) {
            return to_property(path, property, after);
        } else {
            return Err(no_member(segment, name, of, version));
        }
    }
    Ok(path)
}

/// Nothing may follow.
fn ended(path: ResourcePath, name: &str, after: &[Segment]) -> Result<ResourcePath, Fault> {
    match after.first() {
        Some(segment) => Err(segment.fault(format!("nothing follows `{name}`"))),
        None => Ok(path),
    }
}

/// A property, members of it, `$value`.
fn to_property(
    mut path: ResourcePath,
    property: Property,
    after: &[Segment],
) -> Result<ResourcePath, Fault> {
    let (members, is_raw) = match after.split_last() {
        Some((last, members)) if last.text == "$value" => (members, true),
        _ => (after, false),
    };
    let has_members = matches!(
        property.kind(path.entity_type()),
        PropertyKind::Json | PropertyKind::Result | PropertyKind::Geometry
    );
    if let Some(segment) = members.first()
        && !has_members
    {
        return Err(segment.fault(format!(
            "`{}` is no JSON and has no members; only `$value` follows it",
            property.name()
        )));
    }
    if let Some(segment) = members.iter().find(|it| it.text.is_empty()) {
        return Err(segment.fault("there are two slashes with nothing between them"));
    }
    let members = members.iter().map(|it| it.text.clone()).collect();
    path.target = if is_raw {
        Target::RawValue(property, members)
    } else {
        Target::Property(property, members)
    };
    Ok(path)
}

fn no_set(segment: &Segment, name: &str, version: Version) -> Fault {
    if name.is_empty() {
        return segment.fault("expected the name of a set, as in `Things`");
    }
    let sets = EntityType::ALL
        .into_iter()
        .filter(|it| it.is_in(version))
        .map(|it| it.set_name(version));
    segment.fault(format!(
        "there is no set `{}`{}",
        excerpt(name),
        suggest(name, sets)
    ))
}

fn beyond_a_set(path: &ResourcePath, segment: &Segment, version: Version) -> Fault {
    let set = path.entity_type().set_name(version);
    let id = segment.text.parse::<i64>().unwrap_or(1);
    segment.fault(format!(
        "`{}` cannot follow a set; name one of its entities, as in `{set}({id})`",
        excerpt(&segment.text)
    ))
}

fn no_member(segment: &Segment, name: &str, of: EntityType, version: Version) -> Fault {
    let known = of
        .relations_in(version)
        .map(|it| it.name(version))
        .chain(["id"])
        .chain(of.properties().iter().map(|it| it.name()));
    segment.fault(format!(
        "`{}` is no property or relation of {}{}",
        excerpt(name),
        of.name(version),
        suggest(name, known)
    ))
}
