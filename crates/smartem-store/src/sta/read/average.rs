//! Averages that make sense: of one unit, and of sound levels by their energy.

use std::collections::HashMap;

use serde_json::Value;
use smartem_model::{Averaging, Vocabulary};

use crate::sta::error::Fault;
use crate::sta::sql::{Param, Statement};

use super::Reader;

/// What the results of a datastream are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    pub(super) datastream: String,
    /// As clients read it: the symbol, else the name.
    pub(super) unit: String,
    pub(super) averaging: Averaging,
}

/// Results so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) count: u64,
    total: f64,
    /// Of `10^(level/10)`.
    energy: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        (self.min, self.max) = if self.count == 0 {
            (value, value)
        } else {
            (self.min.min(value), self.max.max(value))
        };
        self.count += 1;
        self.total += value;
        self.energy += 10_f64.powf(value / 10.0);
    }

    /// The sum of the values.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// `None` of no values.
    pub(super) fn average(&self, averaging: Averaging) -> Option<f64> {
        let count = self.count as f64;
        match averaging {
            _ if self.count == 0 => None,
            Averaging::Energetic => Some(10.0 * (self.energy / count).log10()),
            Averaging::Arithmetic | Averaging::Class => Some(self.total / count),
        }
    }
}

impl Reader<'_> {
    /// What the results of a datastream are; read once.
    pub(super) async fn measures(&mut self, ids: &[i64]) -> Result<HashMap<i64, Measure>, Fault> {
        let dialect = self.sql.dialect();
        let mut statement = Statement::new(dialect);
        let table = dialect.table("datastream");
        let ids = statement.param(Param::Ints(ids.to_vec()));
        let among = match dialect {
            crate::sta::sql::Dialect::Sqlite => {
                format!("id IN (SELECT value FROM json_each({ids}))")
            }
            crate::sta::sql::Dialect::Postgres => format!("id = ANY({ids})"),
        };
        statement.text = format!("SELECT id, name, unit, is_refined FROM {table} WHERE {among}");
        let mut measures = HashMap::new();
        for row in self.rows(&statement).await? {
            let measure = measure(row.text(1)?, &row.json(2)?, row.bool(3)?);
            measures.insert(row.int(0)?, measure);
        }
        Ok(measures)
    }
}

fn measure(datastream: String, unit: &Value, is_refined: bool) -> Measure {
    let text = |name: &str| unit[name].as_str().filter(|it| !it.is_empty());
    let code = text("definition")
        .and_then(|it| it.rsplit_once('#'))
        .map(|(_, code)| code)
        .or_else(|| text("name"))
        .unwrap_or_default();
    let mut averaging = if is_level(code) {
        Averaging::Energetic
    } else {
        Averaging::Arithmetic
    };
    if is_refined
        && let Some(indicator) = Vocabulary::builtin()
            .indicators()
            .iter()
            .find(|it| *it.name == *datastream)
        && indicator.average == Averaging::Class
    {
        averaging = Averaging::Class;
    }
    let shown = text("symbol").or_else(|| text("name")).unwrap_or_default();
    Measure {
        datastream,
        unit: shown.to_owned(),
        averaging,
    }
}

/// Whether a code of the Unified Code for Units of Measure is of a level above a reference: decibels.
fn is_level(code: &str) -> bool {
    code.strip_prefix("dB")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '{']))
}

/// Why classes have no average.
pub(super) fn no_average(measure: &Measure) -> Fault {
    super::invalid(
        format!(
            "{} has classes, which have no average; ask for the levels that they are of, as in \
             $filter=Datastream/name eq 'noiseavg'",
            measure.datastream
        ),
        None,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use smartem_model::Averaging;

    use super::{Sum, measure};

    #[test]
    fn levels_are_averaged_by_their_energy() {
        let mut sum = Sum::default();
        sum.add(50.0);
        sum.add(60.0);
        let energetic = sum.average(Averaging::Energetic).unwrap();
        // 10 log10((1e5 + 1e6) / 2)
        assert!(
            (energetic - 57.403_626_894_942_44).abs() < 1e-9,
            "{energetic}"
        );
        assert_eq!(sum.average(Averaging::Arithmetic), Some(55.0));
        assert_eq!(Sum::default().average(Averaging::Energetic), None);
    }

    #[test]
    fn the_unit_tells_how_it_is_averaged() {
        let of = |name: &str, unit: serde_json::Value, refined| {
            measure(name.to_owned(), &unit, refined).averaging
        };
        let ucum = |code: &str| json!({"name": "x", "definition": format!("https://ucum.org/ucum#{code}")});
        assert_eq!(of("a", ucum("dB[SPL]{A}"), false), Averaging::Energetic);
        assert_eq!(of("a", json!({"name": "dB"}), false), Averaging::Energetic);
        assert_eq!(of("a", ucum("ug/m3"), false), Averaging::Arithmetic);
        assert_eq!(
            of("a", json!({"name": "dBase"}), false),
            Averaging::Arithmetic
        );
        assert_eq!(of("noiselevelavg", ucum("1"), true), Averaging::Class);
        assert_eq!(of("noiselevelavg", ucum("1"), false), Averaging::Arithmetic);
    }
}
