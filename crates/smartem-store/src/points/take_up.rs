//! What the database and the log hold, taken into memory at the start.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tracing::{error, info};

use super::buffer::Buffer;
use super::catalogue::{Catalogue, SeriesNo};
use super::engine::{FOLDER, State};
use super::mapping::Mapping;
use super::newest::NewestValues;
use super::numbering::Numbers;
use super::record::StoredPoints;
use super::{StationOf, entry, log};
use crate::StoreError;

/// What the database and the log hold.
pub(super) struct TakenUp {
    pub(super) state: State,
    /// The segment to go on with.
    pub(super) segment: u64,
    /// The first segment with something that is not committed.
    pub(super) needed: u64,
    /// Series that are of another station than before.
    pub(super) remapped: Vec<(SeriesNo, Option<StationOf>)>,
}

/// Takes up what there is; `is_former` when another collector has gone on since the log was written to.
pub(super) fn take_up(
    folder: &Path,
    stored: &StoredPoints,
    mapping: Mapping,
    is_former: bool,
) -> Result<TakenUp, StoreError> {
    let unreadable = |source| StoreError::File {
        action: "reading the log of points in",
        path: folder.to_owned(),
        source,
    };
    let mut catalogue = Catalogue::new(mapping);
    for definition in &stored.definitions {
        catalogue.define(definition).map_err(|error| {
            unreadable(std::io::Error::other(format!("the database names {error}")))
        })?;
    }
    let remapped = remapped(&catalogue, &stored.stations);
    let mut state = State {
        catalogue,
        active: Buffer::default(),
        frozen: None,
        unsaved: Vec::new(),
        newest: NewestValues::default(),
        touched: HashSet::default(),
    };
    let segments = log::segments(folder).map_err(unreadable)?;
    let last = segments.last().copied().unwrap_or(0).max(stored.segment);
    // The position that is committed is that of another log.
    let needed = if is_former { 0 } else { stored.segment };
    let mut numbers = Numbers::new(is_former);
    for number in segments.into_iter().filter(|number| *number >= needed) {
        let path = log::path_of(folder, number);
        let mut fault = None;
        let read = log::read_segment(&path, &mut |entry| {
            let replayed = entry::replay(entry, &mut state, &mut numbers);
            replayed.inspect_err(|error| fault = Some(error.to_string()))
        });
        let read = read.map_err(|source| StoreError::File {
            action: "reading the log of points in",
            path: path.clone(),
            source,
        })?;
        tell_damage(&path, &read, fault.as_deref(), number == last);
    }
    state.touched.clear();
    Ok(TakenUp {
        state,
        segment: last + 1,
        needed,
        remapped,
    })
}

/// What is wrong with the log in the folder of a store. The rest of a write that was cut short is not.
pub(crate) fn check_log(dir: &Path) -> Vec<String> {
    let folder = dir.join(FOLDER);
    if !folder.exists() {
        return Vec::new();
    }
    let problem = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let segments = match log::segments(&folder) {
        Ok(segments) => segments,
        Err(error) => return vec![problem(&folder, error.to_string())],
    };
    let last = segments.last().copied();
    let mut problems = Vec::new();
    for number in segments {
        let path = log::path_of(&folder, number);
        match log::read_segment(&path, &mut |_| Ok(())) {
            // A running collector may have removed it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.push(problem(&path, error.to_string())),
            Ok(read) => {
                let lost = read.damaged + if Some(number) == last { 0 } else { read.rest };
                if lost > 0 {
                    problems.push(problem(&path, format!("{lost} bytes are damaged")));
                }
            }
        }
    }
    problems
}

/// Whether the log in the folder of a store holds something that the database does not have: segments
/// from `segment` on are not committed.
pub(crate) fn has_uncommitted(dir: &Path, segment: u64) -> Result<bool, StoreError> {
    let folder = dir.join(FOLDER);
    if !folder.exists() {
        return Ok(false);
    }
    let failed = |path: &Path, source| StoreError::File {
        action: "reading the log of points in",
        path: path.to_owned(),
        source,
    };
    let segments = log::segments(&folder).map_err(|error| failed(&folder, error))?;
    for number in segments.into_iter().filter(|number| *number >= segment) {
        let path = log::path_of(&folder, number);
        let mut entries = 0_u64;
        let read = log::read_segment(&path, &mut |_| {
            entries += 1;
            Ok(())
        });
        read.map_err(|error| failed(&path, error))?;
        if entries > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says what of a segment could not be read, and keeps a damaged one for a person to look at.
fn tell_damage(path: &Path, read: &log::SegmentRead, fault: Option<&str>, is_last: bool) {
    let segment = path.display();
    // Behind the end of a segment that another follows nothing was left to be written.
    let lost = read.damaged + if is_last { 0 } else { read.rest };
    if lost > 0 {
        let aside = log::keep_aside(path).map(|it| it.display().to_string());
        let aside = aside.unwrap_or_else(|error| format!("could not be kept: {error}"));
        error!(%segment, bytes = lost, fault, %aside,
            "the log of points is damaged: some acknowledged points cannot be read; the rest was taken up");
    } else if read.rest > 0 {
        info!(%segment, bytes = read.rest,
            "the end of the log was cut short; what it began was never acknowledged");
    }
}

/// Series whose station is not the one that is stored.
fn remapped(
    catalogue: &Catalogue,
    stored: &BTreeMap<SeriesNo, (String, String)>,
) -> Vec<(SeriesNo, Option<StationOf>)> {
    let numbered = (0..).zip(catalogue.all_series());
    let changed = numbered.filter(|(number, series)| {
        // What cannot be told now is decided later.
        if catalogue.is_undecided(*number) {
            return false;
        }
        let now = series.station.as_deref();
        let now = now.map(|it| (it.station.as_str(), &*it.station_type));
        let before = stored
            .get(number)
            .map(|(id, kind)| (id.as_str(), kind.as_str()));
        now != before
    });
    changed
        .map(|(number, series)| (number, series.station.as_deref().cloned()))
        .collect()
}
