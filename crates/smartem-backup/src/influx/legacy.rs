//! Whether files of the legacy form are whole, as far as they tell themselves: nobody noted their sums.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// First bytes of `meta.NN`, as InfluxDB 1.x writes them.
const META_MAGIC: u64 = 0x5959_0101;

/// Size of a block of a tar archive.
const BLOCK: u64 = 512;

/// The first block of an entry.
type Header = [u8; 512];

/// What is wrong with a file `meta.NN`: its beginning, or that it is not as long as it says.
pub(super) fn fault_of_meta(path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut said = || -> io::Result<Option<u64>> {
        if read_u64(&mut file)? != META_MAGIC {
            return Ok(None);
        }
        // Two parts with their lengths before them: what is in the server, and its node.
        let meta = read_u64(&mut file)?;
        let skip = i64::try_from(meta).map_err(io::Error::other)?;
        file.seek(SeekFrom::Current(skip))?;
        let node = read_u64(&mut file)?;
        Ok(Some(24_u64.saturating_add(meta).saturating_add(node)))
    };
    Ok(match tolerate_end(said())? {
        Some(Some(said)) if said == size => None,
        Some(Some(said)) => Some(format!("it has {size} bytes instead of {said}")),
        Some(None) => Some("it does not begin as such a file of InfluxDB does".to_owned()),
        None => Some("it is cut off".to_owned()),
    })
}

/// What is wrong with the archive of a shard: a header whose sum is wrong, or that its end is missing.
pub(super) fn fault_of_shard(path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut at = 0_u64;
    while at.saturating_add(BLOCK) <= size {
        file.seek(SeekFrom::Start(at))?;
        let mut header: Header = [0; 512];
        file.read_exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let Some(length) = length_of_entry(&header) else {
            return Ok(Some(format!("it is no tar archive from byte {at} on")));
        };
        let blocks = length.div_ceil(BLOCK).saturating_mul(BLOCK);
        at = at.saturating_add(BLOCK).saturating_add(blocks);
    }
    Ok(Some(format!("it is cut off after {size} bytes")))
}

/// The length of what comes behind a header of a tar archive; `None` for bytes that are none.
fn length_of_entry(header: &Header) -> Option<u64> {
    let octal = |range: std::ops::Range<usize>| {
        let text = std::str::from_utf8(&header[range]).ok()?;
        u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
    };
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| match at {
            // The sum itself counts as spaces.
            148..156 => u64::from(b' '),
            _ => u64::from(*byte),
        })
        .sum();
    if octal(148..156)? != sum {
        return None;
    }
    // Above 8 GiB the length is written in binary, told by the first bit.
    if header[124] & 0x80 == 0 {
        return octal(124..136);
    }
    let bytes: [u8; 8] = header[128..136].try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

fn read_u64(file: &mut File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

/// `None` where the file ended too early.
fn tolerate_end<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(parts: [&[u8]; 2]) -> Vec<u8> {
        let mut bytes = META_MAGIC.to_be_bytes().to_vec();
        for part in parts {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// An archive of one entry of 700 bytes.
    fn shard() -> Vec<u8> {
        let mut header = [0_u8; 512];
        header[..5].copy_from_slice(b"a/b/1");
        header[124..135].copy_from_slice(b"00000001274");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut bytes = header.to_vec();
        bytes.extend([7; 700]);
        bytes.resize(512 + 1024 + 1024, 0);
        bytes
    }

    fn fault(bytes: &[u8], of: fn(&Path) -> io::Result<Option<String>>) -> Option<String> {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        of(&path).unwrap()
    }

    #[test]
    fn a_meta_file_is_as_long_as_it_says() {
        let whole = meta([b"server", b"null\n"]);
        assert_eq!(fault(&whole, fault_of_meta), None);
        for length in 0..whole.len() {
            assert!(fault(&whole[..length], fault_of_meta).is_some(), "{length}");
        }
        let longer = [&*whole, b"x"].concat();
        assert!(fault(&longer, fault_of_meta).unwrap().contains("instead"));
        assert!(
            fault(&[7; 40], fault_of_meta)
                .unwrap()
                .contains("does not begin")
        );
    }

    #[test]
    fn an_archive_has_good_headers_and_an_end() {
        let whole = shard();
        assert_eq!(fault(&whole, fault_of_shard), None);
        for length in [0, 511, 512, 1000, 1536] {
            let cut = fault(&whole[..length], fault_of_shard);
            assert!(cut.unwrap().contains("cut off"), "{length}");
        }
        let mut damaged = whole;
        damaged[3] ^= 1;
        let told = fault(&damaged, fault_of_shard).unwrap();
        assert!(told.contains("from byte 0 on"), "{told}");
    }
}
