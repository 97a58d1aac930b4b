//! Whose an entity is, and who may change it.

use smartem_sta::EntityType;

use super::error::{conflict, forbidden, not_found, shown};
use super::{Named, Writer};
use crate::sta::error::Fault;
use crate::sta::sql::Param;

/// For what an entity is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// It gets other values.
    Change,
    /// It goes.
    Removal,
}

impl Writer<'_> {
    /// Takes an entity that is no observation to be changed, so that nobody else changes it meanwhile.
    ///
    /// # Errors
    /// When there is none, when the store keeps it itself, or when it is of a project that the author is not of.
    pub(super) async fn take(&mut self, named: Named, to: For) -> Result<(), Fault> {
        let (project, is_kept) = self.owner(named, to).await?;
        if is_kept {
            return Err(kept(named));
        }
        self.allow(named, project.as_deref())
    }

    /// Takes a thing that something is put to or taken from, which does not change the thing itself: it may be
    /// that of a station.
    pub(super) async fn take_thing(&mut self, id: i64) -> Result<(), Fault> {
        let named = (EntityType::Thing, id);
        let question = format!(
            "SELECT project FROM {{thing}} WHERE id = {{1}}{}",
            self.words.for_reference()
        );
        let row = self.find(&question, &[Param::int(id)]).await?;
        let row = row.ok_or_else(|| not_found(named))?;
        self.allow(named, row.optional_text(0)?.as_deref())
    }

    /// Whether the author may write to an entity of a project.
    pub(super) fn allow(&self, named: Named, project: Option<&str>) -> Result<(), Fault> {
        let Some(own) = &self.author.project else {
            return Ok(());
        };
        if project == Some(&**own) {
            return Ok(());
        }
        let of = project.map_or("no project".to_owned(), |it| format!("project {it}"));
        Err(forbidden(format!(
            "{} is of {of}; this token may only change what is of project {own}",
            shown(named)
        )))
    }

    /// The project of an entity, and whether the store keeps it itself.
    async fn owner(&mut self, named: Named, to: For) -> Result<(Option<String>, bool), Fault> {
        let (entity_type, id) = named;
        // Of which project, whether it is kept, from what, and what of it is locked.
        let (columns, from, lock) = match entity_type {
            EntityType::Thing => ("t.project, t.station_key IS NOT NULL", "{thing} t", "t"),
            EntityType::Location => ("l.project, l.station_key IS NOT NULL", "{location} l", "l"),
            EntityType::HistoricalLocation => (
                "t.project, t.station_key IS NOT NULL",
                "{historical_location} h JOIN {thing} t ON t.id = h.thing_id",
                "h",
            ),
            EntityType::Datastream => (
                "t.project, d.is_refined",
                "{datastream} d JOIN {thing} t ON t.id = d.thing_id AND d.multi_types IS NULL",
                "d",
            ),
            EntityType::MultiDatastream => (
                "t.project, d.is_refined",
                "{datastream} d JOIN {thing} t ON t.id = d.thing_id AND d.multi_types IS NOT NULL",
                "d",
            ),
            EntityType::Sensor => ("s.project, s.instrument IS NOT NULL", "{sensor} s", "s"),
            EntityType::ObservedProperty => (
                "p.project, p.indicator IS NOT NULL",
                "{observed_property} p",
                "p",
            ),
            EntityType::Feature => (
                "f.project, EXISTS (SELECT 1 FROM {location} l WHERE l.id = f.location_id
                     AND l.station_key IS NOT NULL)",
                "{feature} f",
                "f",
            ),
            EntityType::Observation => return Err(not_found(named)),
        };
        let locked = match to {
            For::Change => self.words.for_change(),
            For::Removal => self.words.for_removal(),
        };
        let of = if locked.is_empty() { "" } else { " OF " };
        let lock = if locked.is_empty() { "" } else { lock };
        let alias = from.split_whitespace().nth(1).unwrap_or_default();
        let question =
            format!("SELECT {columns} FROM {from} WHERE {alias}.id = {{1}}{locked}{of}{lock}");
        let row = self.find(&question, &[Param::int(id)]).await?;
        let row = row.ok_or_else(|| not_found(named))?;
        Ok((row.optional_text(0)?, row.bool(1)?))
    }
}

/// The refusal to change what the store keeps itself.
pub(super) fn kept(named: Named) -> Fault {
    conflict(format!(
        "{} is kept by the pipeline, which makes it of a station; it cannot be changed or removed here, but \
         entities of your own may be linked to it",
        shown(named)
    ))
}
