//! Files and what is in them: plain, compressed with gzip, or members of a zip archive.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(super) enum Content {
    File(PathBuf),
    Bytes(Arc<Vec<u8>>),
}

/// A file below the folder of a source.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its path below the folder, with `/`; of a single file its name.
    pub name: String,
    pub path: PathBuf,
    /// Tells this version of it from others: size and time of the last change.
    pub version: String,
}

/// The files of a path, in order of their names.
pub(super) fn list(path: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    if path.is_dir() {
        list_folder(path, "", &mut found)?;
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        found.push(seen(path.to_owned(), name.into_owned())?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn list_folder(folder: &Path, below: &str, found: &mut Vec<Found>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{below}{name}");
        if is_hidden(&name) {
            continue;
        }
        if path.is_dir() {
            list_folder(&path, &format!("{name}/"), found)?;
        } else if is_wanted(&name) || is_archive(&name) {
            found.push(seen(path, name)?);
        }
    }
    Ok(())
}

/// What systems put beside the files of people.
fn is_hidden(name: &str) -> bool {
    name.split('/')
        .any(|part| part.starts_with('.') || part == "__MACOSX")
}

fn is_wanted(name: &str) -> bool {
    let name = name.to_lowercase();
    let endings = [".csv", ".csv.gz"];
    endings.iter().any(|ending| name.ends_with(ending))
}

fn is_member(name: &str) -> bool {
    is_wanted(name) && !is_hidden(name)
}

fn is_archive(name: &str) -> bool {
    let name = Path::new(name).extension();
    name.is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// Takes a member: its number, its name and its text. False when no more is wanted.
pub(super) type TakeMember<'a> =
    dyn FnMut(usize, &str, Box<dyn BufRead + '_>) -> io::Result<bool> + 'a;

fn seen(path: PathBuf, name: String) -> io::Result<Found> {
    let about = fs::metadata(&path)?;
    let changed = about.modified()?.duration_since(std::time::UNIX_EPOCH);
    let version = format!("{}-{}", about.len(), changed.unwrap_or_default().as_nanos());
    Ok(Found {
        name,
        path,
        version,
    })
}

impl Content {
    /// Hands every member to `read`, from the one with number `first` on; a file that is no archive
    /// is its only member.
    pub(super) fn members(
        &self,
        name: &str,
        first: usize,
        read: &mut TakeMember<'_>,
    ) -> io::Result<()> {
        match self {
            Self::File(path) => members(File::open(path)?, name, first, read),
            Self::Bytes(bytes) => members(Cursor::new(bytes.as_slice()), name, first, read),
        }
    }
}

/// How an archive begins that has no members.
const EMPTY_ZIP: &[u8; 4] = b"PK\x05\x06";

fn members<R: Read + Seek>(
    mut file: R,
    name: &str,
    first: usize,
    read: &mut TakeMember<'_>,
) -> io::Result<()> {
    let mut magic = [0; 4];
    let mut got = 0;
    while got < magic.len() {
        match file.read(&mut magic[got..])? {
            0 => break,
            more => got += more,
        }
    }
    file.rewind()?;
    if magic == *b"PK\x03\x04" || magic == *EMPTY_ZIP {
        return zip_members(file, name, first, read);
    }
    let content: Box<dyn Read> = if magic.starts_with(b"\x1f\x8b") {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    read(
        0,
        name,
        Box::new(BufReader::with_capacity(64 * 1024, content)),
    )
    .map(drop)
}

fn zip_members<R: Read + Seek>(
    file: R,
    name: &str,
    first: usize,
    read: &mut TakeMember<'_>,
) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(file))?;
    if !archive.file_names().any(is_member) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no `*.csv` is in the archive",
        ));
    }
    for number in first..archive.len() {
        let member = archive.by_index(number)?;
        if !is_member(member.name()) {
            continue;
        }
        let below = format!("{name}/{}", member.name());
        let ending = Path::new(&below).extension();
        let is_gzip = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
        let content: Box<dyn Read + '_> = if is_gzip {
            Box::new(MultiGzDecoder::new(member))
        } else {
            Box::new(member)
        };
        if !read(number, &below, Box::new(BufReader::new(content)))? {
            break;
        }
    }
    Ok(())
}
