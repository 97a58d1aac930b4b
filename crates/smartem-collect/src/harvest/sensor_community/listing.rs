//! Names of the files of the archive.

use jiff::civil::Date;

/// A file of one sensor and day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DayFile {
    /// `2018-11-01_sds011_sensor_5331.csv`
    pub name: String,
    pub sensor: u64,
    pub is_indoor: bool,
}

/// The folder of a day, as it stands in the archive and, in later years, below its year.
pub(super) fn folders(day: Date, today: Date) -> Vec<String> {
    let mut folders = vec![format!("/{day}/")];
    if day.year() < today.year() {
        folders.push(format!("/{}/{day}/", day.year()));
    }
    folders
}

/// The name of the file of a sensor of a type.
pub(super) fn name(day: Date, kind: &str, sensor: u64, is_indoor: bool) -> DayFile {
    let place = if is_indoor { "_indoor" } else { "" };
    let kind = in_name(kind);
    DayFile {
        name: format!("{day}_{kind}_sensor_{sensor}{place}.csv"),
        sensor,
        is_indoor,
    }
}

/// A type as it stands in names: `Radiation SBM-20` as `radiation_sbm-20`, and `DNMS (Laerm)` by
/// what is in its brackets, as `laerm`.
fn in_name(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let bracketed = kind
        .split_once('(')
        .map(|(_, inner)| inner.replace(')', " "));
    let kind = bracketed.unwrap_or(kind);
    kind.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The files of a day that a listing links to, in order of their names.
///
/// `None` when the page links to nothing at all, so that it is no listing.
pub(super) fn files(page: &[u8], day: Date) -> Option<Vec<DayFile>> {
    let page = String::from_utf8_lossy(page);
    let mut links = page.split("href=").skip(1).peekable();
    links.peek()?;
    let begin = format!("{day}_");
    let mut files: Vec<DayFile> = links
        .filter_map(|after| {
            let link = match after.chars().next()? {
                quote @ ('"' | '\'') => after[1..].split(quote).next()?,
                _ => after.split([' ', '>']).next()?,
            };
            file(link.rsplit('/').next()?, &begin)
        })
        .collect();
    files.sort();
    files.dedup();
    Some(files)
}

fn file(name: &str, begin: &str) -> Option<DayFile> {
    let rest = name.strip_prefix(begin)?;
    let stem = rest
        .strip_suffix(".csv")
        .or_else(|| rest.strip_suffix(".csv.gz"))?;
    let (_, sensor) = stem.rsplit_once("_sensor_")?;
    let outdoor = sensor.strip_suffix("_indoor");
    Some(DayFile {
        name: name.to_owned(),
        sensor: outdoor.unwrap_or(sensor).parse().ok()?,
        is_indoor: outdoor.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_tells_the_files_of_its_day() {
        let day = Date::constant(2018, 11, 1);
        let page = br#"<a href="../">..</a>
            <a href="2018-11-01_sds011_sensor_7789.csv">x</a>
            <a href='/2018-11-01/2018-11-01_dht22_sensor_5_indoor.csv'>x</a>
            <a href=2018-11-01_bme280_sensor_9.csv.gz>x</a>
            <a href="2018-11-02_sds011_sensor_1.csv">x</a>
            <a href="2018-11-01_sds011_sensor_x.csv">x</a>"#;
        let found = files(page, day).unwrap();
        let found: Vec<(u64, bool)> = found.iter().map(|f| (f.sensor, f.is_indoor)).collect();
        assert_eq!(found, [(9, false), (5, true), (7789, false)]);
        assert_eq!(files(b"<html>maintenance</html>", day), None);
        assert_eq!(
            name(day, "SDS011", 7789, false).name,
            "2018-11-01_sds011_sensor_7789.csv"
        );
    }

    #[test]
    fn names_hold_no_blanks_and_no_brackets() {
        let day = Date::constant(2026, 11, 1);
        for (kind, expected) in [
            ("DNMS (Laerm)", "2026-11-01_laerm_sensor_5.csv"),
            ("Laerm", "2026-11-01_laerm_sensor_5.csv"),
            (
                "Radiation SBM-20",
                "2026-11-01_radiation_sbm-20_sensor_5.csv",
            ),
            ("Radiation Si22G", "2026-11-01_radiation_si22g_sensor_5.csv"),
        ] {
            assert_eq!(name(day, kind, 5, false).name, expected);
        }
    }

    #[test]
    fn days_of_former_years_may_have_moved() {
        let today = Date::constant(2026, 1, 1);
        let moved = folders(Date::constant(2025, 12, 31), today);
        assert_eq!(moved, ["/2025-12-31/", "/2025/2025-12-31/"]);
        assert_eq!(folders(today, today), ["/2026-01-01/"]);
    }
}
