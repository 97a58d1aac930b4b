//! A station file: TOML that lists stations with what their records do not say.
//!
//! ```toml
//! [[station]]
//! id = "roof-1"
//! type = "airkit"                                  # a station type that is known
//! name = "Town hall, roof"                         # from here on all is optional
//! network = "citizens"
//! project = "nijmegen"
//! cadence_s = 60
//! location = { lon = 5.86, lat = 51.84, alt = 30 }
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use smartem_model::{Position, StationId, nearest};
use smartem_store::StationDeclaration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Fault;

/// What a station file says.
#[derive(Debug, Default)]
pub struct StationFile {
    /// The stations without a fault, each with the byte at which it begins.
    pub stations: Vec<(StationDeclaration, usize)>,
    /// In order of place.
    pub faults: Vec<Fault>,
}

const KEYS: [&str; 7] = [
    "id",
    "type",
    "name",
    "network",
    "project",
    "cadence_s",
    "location",
];
const LOCATION_KEYS: [&str; 3] = ["lon", "lat", "alt"];

/// What every declaration has that no file says.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// See [`StationDeclaration::move_m`].
    pub move_m: f64,
    /// When the file was read.
    pub now: Timestamp,
}

/// Reads a station file; `types` are the station types that are known.
///
/// A station with a fault is left out, the others are given all the same.
pub fn read(text: &str, types: &[&str], circumstances: Circumstances) -> StationFile {
    let mut reader = Reader {
        text,
        types,
        circumstances,
        file: StationFile::default(),
    };
    match DeTable::parse(text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim().replace('\n', "; ");
            reader.file.faults.push(Fault::at(text, at, message));
        }
    }
    let mut file = reader.file;
    file.faults.sort_by_key(|fault| (fault.line, fault.column));
    file
}

/// A fault at a byte offset of the file.
pub fn fault_at(text: &str, offset: usize, message: impl Into<String>) -> Fault {
    Fault::at(text, offset, message)
}

struct Reader<'a> {
    text: &'a str,
    types: &'a [&'a str],
    circumstances: Circumstances,
    file: StationFile,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn fault(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.file
            .faults
            .push(Fault::at(self.text, span.start, message));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        self.unknown_keys(document, &["station"]);
        let Some(list) = document.get("station") else {
            if document.is_empty() {
                let message = "no station is listed; begin each with a line `[[station]]`";
                self.fault(&(0..0), message);
            }
            return;
        };
        let Some(list_of) = list.get_ref().as_array() else {
            let message = "`station` is no list; begin each station with a line `[[station]]`";
            return self.fault(&list.span(), message);
        };
        let mut seen = BTreeMap::new();
        for station in list_of {
            let before = self.file.faults.len();
            let declaration = self.station(station);
            let Some(declaration) = declaration.filter(|_| self.file.faults.len() == before) else {
                continue;
            };
            let at = place_of_id(station);
            if let Some(first) = seen.get(&declaration.id) {
                let message = format!(
                    "`id` is `{}` as in line {first}; give each station an id of its own",
                    declaration.id
                );
                self.fault(&(at..at), message);
                continue;
            }
            let line = Fault::at(self.text, at, "").line;
            seen.insert(declaration.id.clone(), line);
            self.file.stations.push((declaration, at));
        }
    }

    fn station(&mut self, station: &Value<'_>) -> Option<StationDeclaration> {
        let Some(table) = station.get_ref().as_table() else {
            self.fault(&station.span(), "a station is a table of keys and values");
            return None;
        };
        self.unknown_keys(table, &KEYS);
        let id = self
            .required(table, "id", station)
            .and_then(|id| StationId::new(&id));
        let station_type = self.required(table, "type", station);
        if let (Some(name), Some(value)) = (&station_type, table.get("type"))
            && !self.types.contains(&name.as_str())
        {
            let guess = match nearest(name, self.types.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "known are `{}`; `refine.definitions_dir` names the folder of further ones",
                    self.types.join("`, `")
                ),
            };
            let message =
                format!("`type` is `{name}`, which is no station type that is known; {guess}");
            self.fault(&value.span(), message);
        }
        let optional = |reader: &mut Self, key| table.get(key).and_then(|it| reader.text(key, it));
        let declaration = StationDeclaration {
            name: optional(self, "name"),
            network: optional(self, "network"),
            project: optional(self, "project"),
            cadence_s: table.get("cadence_s").and_then(|it| self.cadence(it)),
            location: table.get("location").and_then(|it| self.location(it)),
            // Without these there was a fault, and the declaration is not used.
            id: id?,
            station_type: station_type?,
            move_m: self.circumstances.move_m,
            now: self.circumstances.now,
        };
        Some(declaration)
    }

    fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let guess = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are `{}`", known.join("`, `")),
                };
                self.fault(&key.span(), format!("there is no key `{name}`; {guess}"));
            }
        }
    }

    fn required(&mut self, table: &DeTable<'_>, key: &str, owner: &Value<'_>) -> Option<String> {
        let Some(value) = table.get(key) else {
            let message = format!(
                "the station has no `{key}`; write for example {}",
                example(key)
            );
            self.fault(&owner.span(), message);
            return None;
        };
        self.text(key, value)
    }

    fn text(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let found = value.get_ref().as_str().map(str::trim);
        let text = found.filter(|text| !text.is_empty());
        if text.is_none() {
            let shown = self.shown(value);
            let message = format!(
                "`{key}` is {shown}, which is no text with letters in it; write for example {}",
                example(key)
            );
            self.fault(&value.span(), message);
        }
        text.map(str::to_owned)
    }

    fn cadence(&mut self, value: &Value<'_>) -> Option<f64> {
        let cadence = number(value).filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        if cadence.is_none() {
            let shown = self.shown(value);
            let message = format!(
                "`cadence_s` is {shown}, which is no number of seconds above 0; write for example cadence_s = 60"
            );
            self.fault(&value.span(), message);
        }
        cadence
    }

    fn location(&mut self, value: &Value<'_>) -> Option<Position> {
        const EXAMPLE: &str = "write for example location = { lon = 5.86, lat = 51.84, alt = 30 }";
        let Some(table) = value.get_ref().as_table() else {
            let shown = self.shown(value);
            self.fault(&value.span(), format!("`location` is {shown}; {EXAMPLE}"));
            return None;
        };
        self.unknown_keys(table, &LOCATION_KEYS);
        let (Some(lon), Some(lat)) = (table.get("lon"), table.get("lat")) else {
            let message = format!("`location` needs `lon` and `lat`; {EXAMPLE}");
            self.fault(&value.span(), message);
            return None;
        };
        let exchanged = match (number(lon), number(lat)) {
            (Some(x), Some(y)) => x.abs() <= 90.0 && y.abs() > 90.0 && y.abs() <= 180.0,
            _ => false,
        };
        let hint = if exchanged {
            "; are `lon` and `lat` exchanged?"
        } else {
            ""
        };
        let x = self.within("lon", lon, (-180.0, 180.0), "degrees east", hint);
        let y = self.within("lat", lat, (-90.0, 90.0), "degrees north", hint);
        let altitude = table.get("alt");
        let alt = altitude.map(|it| self.within("alt", it, (-500.0, 9000.0), "metres", ""));
        let position = Position::horizontal(x?, y?);
        if position.is_none() {
            let message = "`lon` and `lat` are both 0, which stations send that do not know where they are; leave `location` out";
            self.fault(&value.span(), message);
        }
        // `Some(None)`: an altitude with a fault.
        let alt = match alt {
            Some(metres) => Some(metres?),
            None => None,
        };
        Some(Position { alt, ..position? })
    }

    fn within(
        &mut self,
        key: &str,
        value: &Value<'_>,
        (min, max): (f64, f64),
        unit: &str,
        hint: &str,
    ) -> Option<f64> {
        let found = number(value).filter(|number| (min..=max).contains(number));
        if found.is_none() {
            let shown = self.shown(value);
            let message = format!(
                "`{key}` is {shown}, which is no number from {min} to {max} ({unit}){hint}"
            );
            self.fault(&value.span(), message);
        }
        found
    }

    /// A value as it is written in the file, cut where it is long.
    fn shown(&self, value: &Value<'_>) -> String {
        let written = self.text.get(value.span()).unwrap_or_default();
        let line = written.lines().next().unwrap_or_default();
        let short: String = line.chars().take(40).collect();
        format!("`{short}`")
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "id" => "id = \"roof-1\"",
        "type" => "type = \"jose\"",
        "network" => "network = \"citizens\"",
        "project" => "project = \"nijmegen\"",
        _ => "name = \"Town hall, roof\"",
    }
}

/// Where in the text the id of a station is, or the station where it has none.
fn place_of_id(station: &Value<'_>) -> usize {
    let id = station.get_ref().as_table().and_then(|it| it.get("id"));
    id.map_or(station.span().start, |id| id.span().start)
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_it(text: &str) -> StationFile {
        let circumstances = Circumstances {
            move_m: 100.0,
            now: Timestamp::UNIX_EPOCH,
        };
        read(text, &["jose", "airkit"], circumstances)
    }

    fn faults(text: &str) -> Vec<String> {
        let file = read_it(text);
        let told = file.faults.iter();
        told.map(|it| format!("{}:{}: {}", it.line, it.column, it.message))
            .collect()
    }

    #[test]
    fn a_station_has_what_the_file_says() {
        let text = "[[station]]\nid = \"roof-1\"\ntype = \"airkit\"\n\n[[station]]\nid = \"roof-2\"\n\
            type = \"jose\"\nname = \"Roof\"\nnetwork = \"n\"\nproject = \"p\"\ncadence_s = 60\n\
            location = { lon = 5.86, lat = 51.84, alt = 30 }\n";
        let file = read_it(text);
        assert_eq!(file.faults, []);
        let [(bare, _), (full, _)] = &file.stations[..] else {
            panic!("{file:?}");
        };
        assert_eq!(
            (bare.id.as_str(), bare.station_type.as_str()),
            ("roof-1", "airkit")
        );
        assert_eq!((bare.cadence_s, bare.location), (None, None));
        assert_eq!(full.name.as_deref(), Some("Roof"));
        assert_eq!(full.cadence_s, Some(60.0));
        let place = Position {
            lon: 5.86,
            lat: 51.84,
            alt: Some(30.0),
        };
        assert_eq!(full.location, Some(place));
    }

    #[test]
    fn each_fault_is_told_with_its_place_value_and_remedy() {
        let station = "[[station]]\nid = \"a\"\ntype = \"jose\"\n";
        for (line, at, words) in [
            (
                "cadence_s = 0",
                "4:13",
                "`cadence_s` is `0`, which is no number of seconds above 0",
            ),
            (
                "cadence_s = \"fast\"",
                "4:13",
                "write for example cadence_s = 60",
            ),
            (
                "location = { lon = 5, lat = 120 }",
                "4:29",
                "are `lon` and `lat` exchanged?",
            ),
            (
                "location = { lon = 200, lat = 95 }",
                "4:20",
                "`lon` is `200`, which is no number from -180 to 180",
            ),
            ("location = { lon = 0, lat = 0 }", "4:12", "both 0"),
            ("location = { lon = 5 }", "4:12", "needs `lon` and `lat`"),
            (
                "location = { lon = 5, lat = 51, alt = 90000 }",
                "4:39",
                "`alt` is `90000`",
            ),
            (
                "location = { lon = 5, lat = 51, height = 3 }",
                "4:33",
                "there is no key `height`",
            ),
            ("location = [5, 51]", "4:12", "`location` is `[5, 51]`"),
            ("nmae = \"x\"", "4:1", "did you mean `name`?"),
            ("name = \" \"", "4:8", "no text"),
            ("project = 5", "4:11", "`project` is `5`"),
        ] {
            let told = faults(&format!("{station}{line}\n"));
            assert!(
                told[0].starts_with(&format!("{at}: ")) && told[0].contains(words),
                "{line}: {told:?}"
            );
        }
        for (text, words) in [
            (
                "[[station]]\nid = \"a\"\ntype = \"air-kit\"\n",
                "3:8: `type` is `air-kit`, which is no station type that is known; did you mean `airkit`?",
            ),
            ("[[station]]\nid = \"a\"\n", "the station has no `type`"),
            ("[[station]]\ntype = \"jose\"\n", "the station has no `id`"),
            ("[station]\nid = \"a\"\n", "[[station]]"),
            ("[[stations]]\n", "did you mean `station`?"),
            ("", "no station is listed"),
            ("[[station]]\nid = \n", "2:6"),
        ] {
            let told = faults(text).join("\n");
            assert!(told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn good_stations_beside_bad_ones_are_read() {
        let text = "[[station]]\nid = \"a\"\ntype = \"jose\"\n[[station]]\nid = \"b\"\ntype = \"x\"\n\
            [[station]]\nid = \"a\"\ntype = \"airkit\"\n[[station]]\nid = \"c\"\ntype = \"jose\"\n";
        let file = read_it(text);
        let ids: Vec<_> = file.stations.iter().map(|(it, _)| it.id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(file.faults.len(), 2);
        assert!(
            file.faults[1].message.contains("as in line 2"),
            "{:?}",
            file.faults
        );
    }
}
