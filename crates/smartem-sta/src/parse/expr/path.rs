//! Paths of expressions: along relations to a property, to members of its JSON, or to an `any`.

use crate::{EntityType, Expr, ExprKind, Path, Property, PropertyKind, Relation, Type};

use super::ExprReader;
use crate::parse::RELATIONS_MAX;
use crate::parse::error::{Fault, excerpt, suggest};
use crate::parse::literal;
use crate::parse::scan::Scanner;

impl<'a> ExprReader<'_, 'a> {
    /// A path to a property, or an `any` at the end of one.
    pub(super) fn path_expr(&mut self) -> Result<Expr, Fault> {
        let start = self.scan.at();
        let (outer, mut of) = self.beginning()?;
        let mut relations: Vec<Relation> = Vec::new();
        loop {
            let at = self.scan.at();
            let name = self.scan.take_name();
            if matches!(name, "any" | "all") && self.scan.peek() == Some(b'(') {
                return self.any(start, at, name, outer, relations);
            }
            if let Some(property) = Property::of_name(of, name) {
                return self.property(start, at, of, property, outer, relations);
            }
            let Some(relation) = Relation::of_name(of, name, self.version) else {
                return Err(self.no_member(at, name, of));
            };
            self.budget.spend(at)?;
            if relations.len() == RELATIONS_MAX {
                return Err(Fault::new(
                    at,
                    format!("the path follows more than {RELATIONS_MAX} relations"),
                ));
            }
            relations.push(relation);
            of = relation.to;
            if !self.scan.take("/") {
                return Err(self.unfinished(name, relation));
            }
        }
    }

    /// The entity that a path begins at: that of a variable, which is taken with its `/`, or the one asked for.
    fn beginning(&mut self) -> Result<(usize, EntityType), Fault> {
        let name = self.scan.peek_name();
        let variable = self
            .variables
            .iter()
            .rev()
            .position(|(variable, _)| *variable == name);
        let Some(outer) = variable else {
            return Ok((self.variables.len(), self.of));
        };
        let of = self.variables[self.variables.len() - 1 - outer].1;
        self.scan.skip(name.len());
        if !self.scan.take("/") {
            return Err(self.scan.fault(format!(
                "`{name}` stands for an entity; go on to a property, as in `{name}/id`"
            )));
        }
        Ok((outer, of))
    }

    fn property(
        &mut self,
        start: usize,
        at: usize,
        of: EntityType,
        property: Property,
        outer: usize,
        relations: Vec<Relation>,
    ) -> Result<Expr, Fault> {
        if property == Property::SelfLink {
            return Err(Fault::new(
                at,
                "a selfLink cannot be compared; compare the `id`",
            ));
        }
        let kind = property.kind(of);
        let members = members(self.scan, property, kind)?;
        let ty = if members.is_empty() {
            type_of(kind)
        } else {
            Type::Json
        };
        let path = Path {
            outer,
            relations,
            property,
            members,
        };
        Ok(Expr {
            kind: ExprKind::Path(path),
            ty,
            at: start..self.scan.at(),
        })
    }

    /// `any(d: condition)` or `any()`, of which the parenthesis is next.
    fn any(
        &mut self,
        start: usize,
        at: usize,
        name: &str,
        outer: usize,
        relations: Vec<Relation>,
    ) -> Result<Expr, Fault> {
        if name == "all" {
            return Err(Fault::new(
                at,
                "`all` is not known; write it as `not …/any(d: not (…))`",
            ));
        }
        let Some(last) = relations.last().filter(|it| it.is_many) else {
            return Err(Fault::new(
                at,
                "`any` follows a relation to many, as in `Datastreams/any(d: d/name eq 'x')`",
            ));
        };
        let of = last.to;
        let open = self.scan.at();
        self.scan.skip(1);
        self.scan.skip_blanks();
        let predicate = if self.scan.peek() == Some(b')') {
            None
        } else {
            let variable = self.variable()?;
            self.variables.push((variable, of));
            let predicate = self.condition();
            self.variables.pop();
            self.height += 1;
            Some(Box::new(predicate?))
        };
        self.close(open)?;
        Ok(Expr {
            kind: ExprKind::Any {
                outer,
                relations,
                predicate,
            },
            ty: Type::Bool,
            at: start..self.scan.at(),
        })
    }

    /// `d:`
    fn variable(&mut self) -> Result<&'a str, Fault> {
        let at = self.scan.at();
        let name = self.scan.take_while(|c| c.is_alphanumeric() || c == '_');
        self.scan.skip_blanks();
        if name.is_empty() || !self.scan.take(":") {
            return Err(Fault::new(
                at,
                "expected a variable and a colon, as in `any(d: d/name eq 'x')`",
            ));
        }
        Ok(name)
    }

    fn no_member(&self, at: usize, name: &str, of: EntityType) -> Fault {
        if name.is_empty() {
            return Fault::new(at, format!("expected a name here, {}", self.scan.found()));
        }
        let version = self.version;
        let known = ["id"]
            .into_iter()
            .chain(of.properties().iter().map(|it| it.name()))
            .chain(of.relations_in(version).map(|it| it.name(version)));
        Fault::new(
            at,
            format!(
                "`{}` is no property or relation of {}{}",
                excerpt(name),
                of.name(version),
                suggest(name, known)
            ),
        )
    }

    /// A path ends with a relation.
    fn unfinished(&self, name: &str, relation: Relation) -> Fault {
        let example = if relation.is_many {
            format!("`{name}/id` or `{name}/any()`")
        } else {
            format!("`{name}/id`")
        };
        self.scan.fault(format!(
            "`{name}` leads to entities; go on to a property, as in {example}"
        ))
    }
}

/// Members of JSON that a path goes on with after a property.
pub(in crate::parse) fn members(
    scan: &mut Scanner<'_>,
    property: Property,
    kind: PropertyKind,
) -> Result<Vec<String>, Fault> {
    const MAX: usize = 32;
    let mut members = Vec::new();
    loop {
        let at = scan.at();
        let member = if scan.take("/") {
            if scan.peek() == Some(b'\'') {
                literal::text(scan)?
            } else {
                scan.take_while(is_member_char).to_owned()
            }
        } else if scan.take("[") {
            let index = scan.take_while(|c| c.is_ascii_digit()).to_owned();
            scan.expect("]", "after an index")?;
            index
        } else {
            return Ok(members);
        };
        if !matches!(
            kind,
            PropertyKind::Json | PropertyKind::Result | PropertyKind::Geometry
        ) {
            return Err(Fault::new(
                at,
                format!("`{}` is no JSON and has no members", property.name()),
            ));
        }
        if member.is_empty() {
            return Err(scan.fault(format!(
                "expected the name of a member here, {}",
                scan.found()
            )));
        }
        if members.len() == MAX {
            return Err(Fault::new(
                at,
                format!("the path has more than {MAX} members"),
            ));
        }
        members.push(member);
    }
}

fn is_member_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '@' | '$' | '#' | '~')
}

/// What the values of a property are in an expression.
fn type_of(kind: PropertyKind) -> Type {
    match kind {
        PropertyKind::Id => Type::Number,
        PropertyKind::Text => Type::Text,
        PropertyKind::Instant => Type::Instant,
        PropertyKind::Time => Type::Time,
        PropertyKind::Geometry => Type::Geometry,
        PropertyKind::Json | PropertyKind::Result => Type::Json,
    }
}
