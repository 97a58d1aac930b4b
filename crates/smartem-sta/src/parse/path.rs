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
        if let Some(target) = ending(&path, segment)? {
            path.target = target;
            return match after.first() {
                Some(excess) => Err(excess.fault(format!("nothing follows `{}`", segment.text))),
                None => Ok(path),
            };
        }
        if !path.is_single() {
            return Err(beyond_a_set(&path, segment, version));
        }
        let of = path.entity_type();
        let (name, id) = segment.name_and_id()?;
        if let Some(relation) = Relation::of_name(of, name, version) {
            if id.is_some() && !relation.is_many {
                return Err(segment.fault(format!("`{name}` leads to one entity and takes no id")));
            }
            path.steps.push(PathStep { relation, id });
            continue;
        }
        let (name, indices) = split_indices(name);
        let Some(property) = Property::of_name(of, name).filter(|_| id.is_none()) else {
            return Err(no_member(segment, name, of, version));
        };
        path.target = property_target(of, property, indices, after)?;
        return Ok(path);
    }
    Ok(path)
}

/// What a segment asks for of the set or entity before it, if it is a word for that.
fn ending(path: &ResourcePath, segment: &Segment) -> Result<Option<Target>, Fault> {
    match segment.text.as_str() {
        "" => Err(segment.fault("there are two slashes with nothing between them")),
        "$ref" => Ok(Some(Target::References)),
        "$count" if path.is_single() => {
            Err(segment.fault("`$count` follows a set, and this is one entity"))
        }
        "$count" => Ok(Some(Target::Count)),
        "$value" => {
            Err(segment.fault("`$value` follows a property, as in `Things(1)/name/$value`"))
        }
        _ => Ok(None),
    }
}

/// A property, of which `indices` were given with it, then members of it, then `$value`.
fn property_target(
    of: EntityType,
    property: Property,
    indices: Vec<String>,
    after: &[Segment],
) -> Result<Target, Fault> {
    let (segments, is_raw) = match after.split_last() {
        Some((last, segments)) if last.text == "$value" => (segments, true),
        _ => (after, false),
    };
    let mut members = indices;
    for segment in segments {
        if segment.text.is_empty() {
            return Err(segment.fault("there are two slashes with nothing between them"));
        }
        let (name, indices) = split_indices(&segment.text);
        if !name.is_empty() {
            members.push(name.to_owned());
        }
        members.extend(indices);
    }
    let has_members = matches!(
        property.kind(of),
        PropertyKind::Json | PropertyKind::Result | PropertyKind::Geometry
    );
    if !members.is_empty() && !has_members {
        let at = segments.first().map_or(0, |it| it.at);
        let name = property.name();
        return Err(Fault::new(
            at,
            format!("`{name}` is no JSON and has no members; only `$value` follows it"),
        ));
    }
    Ok(if is_raw {
        Target::RawValue(property, members)
    } else {
        Target::Property(property, members)
    })
}

/// A name, and the indices in brackets after it: `levels[0][1]`.
fn split_indices(text: &str) -> (&str, Vec<String>) {
    let last_index = |text: &str| {
        let (rest, index) = text.strip_suffix(']')?.rsplit_once('[')?;
        let is_index = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        is_index.then(|| (rest.len(), index.to_owned()))
    };
    let mut name = text;
    let mut indices = Vec::new();
    while let Some((end, index)) = last_index(name) {
        name = &name[..end];
        indices.push(index);
    }
    indices.reverse();
    (name, indices)
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
