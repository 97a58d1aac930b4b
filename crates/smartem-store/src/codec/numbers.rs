//! Lists of 64-bit numbers, each written by the method that makes it smallest.

use super::CodecError;
use super::bytes::{Reader, put_varint, unzigzag, zigzag};
use super::pack::{Widths, packed, put_bits, put_packed, read_bits, significant};

/// How a list is written; the number is what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// How far each number lies above the smallest.
    Offset = 0,
    /// The first number, then how far each step lies above the smallest step.
    Delta = 1,
    /// The first number, then each byte minus the same byte of the number before: for packed bands,
    /// bit fields and the bits of reals.
    Bytewise = 2,
    /// The different numbers in order of size, then the place of each there.
    Dictionary = 3,
}

/// Bytewise differences take longer to judge; they are where others need more bits than this.
const FEW_BITS: usize = 4;

/// Appends the numbers, not their count.
pub(super) fn put_numbers(out: &mut Vec<u8>, values: &[i64]) {
    let offset = Above::smallest(values.to_vec());
    if offset.is_constant() {
        out.push(Method::Offset as u8);
        offset.put(out);
        return;
    }
    let first = zigzag(values[0]);
    let delta = Above::smallest(steps(values).collect());
    let dictionary = dictionary(values);
    let sizes = [
        (Method::Offset, offset.size()),
        (Method::Delta, varint_size(first) + delta.size()),
        (Method::Dictionary, dictionary_size(values, &dictionary)),
    ];
    let best = sizes.into_iter().min_by_key(|(_, size)| *size);
    let (mut method, size) = best.unwrap_or((Method::Offset, 0));
    let mut bytewise = None;
    if size * 8 > values.len() * FEW_BITS {
        bytewise = Some(Bytewise::new(values)).filter(|bytewise| bytewise.size < size);
    }
    if bytewise.is_some() {
        method = Method::Bytewise;
    }
    out.push(method as u8);
    match (method, bytewise) {
        (_, Some(bytewise)) => {
            put_varint(out, first);
            bytewise.put(out);
        }
        (Method::Delta, _) => {
            put_varint(out, first);
            delta.put(out);
        }
        (Method::Dictionary, _) => put_dictionary(out, values, &dictionary),
        _ => offset.put(out),
    }
}

/// Numbers as they are read, with what reading them takes; to be used for one list after another.
#[derive(Default)]
pub(super) struct Numbers {
    values: Vec<u64>,
    /// A byte of each number, or the different numbers.
    aside: Vec<u64>,
}

impl Numbers {
    /// Reads `count` numbers.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
    ) -> Result<&[u64], CodecError> {
        self.values.clear();
        self.values.resize(count, 0);
        let method = reader.byte()?;
        if count > 0 {
            match method {
                0 => self.read_offset(reader)?,
                1 => self.read_delta(reader)?,
                2 => self.read_bytewise(reader)?,
                3 => self.read_dictionary(reader)?,
                _ => return Err(CodecError::Malformed("an unknown kind of numbers")),
            }
        }
        Ok(&self.values)
    }

    fn read_offset(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let smallest = signed(reader)?;
        packed(reader, &mut self.values)?;
        for value in &mut self.values {
            *value = value.wrapping_add(smallest);
        }
        Ok(())
    }

    fn read_delta(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let mut value = signed(reader)?;
        let smallest = signed(reader)?;
        packed(reader, &mut self.values[1..])?;
        self.values[0] = value;
        for step in &mut self.values[1..] {
            value = value.wrapping_add(smallest).wrapping_add(*step);
            *step = value;
        }
        Ok(())
    }

    fn read_bytewise(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let value = signed(reader)?;
        let used = reader.byte()?;
        self.values.fill(value);
        self.aside.resize(self.values.len() - 1, 0);
        for lane in lanes(used) {
            let smallest = u64::from(reader.byte()?);
            packed(reader, &mut self.aside)?;
            let shift = 8 * lane;
            let mut byte = value >> shift;
            for (value, step) in self.values[1..].iter_mut().zip(&self.aside) {
                byte = byte.wrapping_add(smallest).wrapping_add(*step);
                *value = (*value & !(0xFF << shift)) | ((byte & 0xFF) << shift);
            }
        }
        Ok(())
    }

    fn read_dictionary(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let different = reader.length()?;
        if different == 0 || different > self.values.len() {
            return Err(CodecError::Malformed("more different numbers than numbers"));
        }
        self.aside.clear();
        let mut value = signed(reader)?;
        self.aside.push(value);
        for _ in 1..different {
            value = value.wrapping_add(reader.varint()?);
            self.aside.push(value);
        }
        read_bits(reader, &mut self.values, place_width(different))?;
        for value in &mut self.values {
            let place = usize::try_from(*value).unwrap_or(usize::MAX);
            let known = self.aside.get(place);
            *value = *known.ok_or(CodecError::Malformed("a number that is not listed"))?;
        }
        Ok(())
    }
}

fn signed(reader: &mut Reader<'_>) -> Result<u64, CodecError> {
    Ok(unzigzag(reader.varint()?).cast_unsigned())
}

fn varint_size(value: u64) -> usize {
    significant(value).div_ceil(7).max(1) as usize
}

/// Steps from each number to the next.
fn steps(values: &[i64]) -> impl Iterator<Item = i64> {
    values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]))
}

/// Numbers as they lie above the smallest of them.
struct Above {
    smallest: i64,
    offsets: Vec<u64>,
}

impl Above {
    fn smallest(values: Vec<i64>) -> Self {
        let smallest = values.iter().copied().min().unwrap_or_default();
        let above = |value: i64| value.wrapping_sub(smallest).cast_unsigned();
        Self {
            smallest,
            offsets: values.into_iter().map(above).collect(),
        }
    }

    fn is_constant(&self) -> bool {
        self.offsets.iter().all(|offset| *offset == 0)
    }

    fn size(&self) -> usize {
        varint_size(zigzag(self.smallest)) + Widths::of(&self.offsets).best().1
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, zigzag(self.smallest));
        put_packed(out, &self.offsets);
    }
}

/// The different numbers in order of size; empty where they are too many to be worth listing.
fn dictionary(values: &[i64]) -> Vec<i64> {
    let mut different = values.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() > values.len() / 2 + 1 {
        different.clear();
    }
    different
}

/// How many bits tell one of so many apart.
fn place_width(different: usize) -> u32 {
    significant(different.saturating_sub(1) as u64)
}

fn dictionary_size(values: &[i64], dictionary: &[i64]) -> usize {
    let Some(&first) = dictionary.first() else {
        return usize::MAX;
    };
    let gaps = steps(dictionary).map(|gap| varint_size(gap.cast_unsigned()));
    let places = (values.len() * place_width(dictionary.len()) as usize).div_ceil(8);
    varint_size(dictionary.len() as u64) + varint_size(zigzag(first)) + gaps.sum::<usize>() + places
}

fn put_dictionary(out: &mut Vec<u8>, values: &[i64], dictionary: &[i64]) {
    put_varint(out, dictionary.len() as u64);
    put_varint(out, zigzag(dictionary[0]));
    for gap in steps(dictionary) {
        put_varint(out, gap.cast_unsigned());
    }
    let place = |value: &i64| dictionary.partition_point(|known| known < value) as u64;
    let places: Vec<u64> = values.iter().map(place).collect();
    put_bits(out, &places, place_width(dictionary.len()));
}

/// The differences of each byte, from each number to the next.
struct Bytewise {
    steps: Vec<u64>,
    /// Which bytes ever change, a bit for each.
    used: u8,
    /// Of those.
    lanes: Vec<Lane>,
    size: usize,
}

impl Bytewise {
    fn new(values: &[i64]) -> Self {
        let pairs = values.windows(2);
        let steps: Vec<u64> = pairs
            .map(|pair| bytewise_difference(pair[1], pair[0]))
            .collect();
        let changes = steps.iter().fold(0, |all, step| all | step).to_le_bytes();
        let used = (0..8).fold(0, |used, lane| {
            used | (u8::from(changes[lane] != 0) << lane)
        });
        let lanes: Vec<Lane> = lanes(used).map(|lane| Lane::new(&steps, lane)).collect();
        let first = values.first().map_or(0, |&first| zigzag(first));
        let size = varint_size(first) + 1 + lanes.iter().map(|lane| 1 + lane.size).sum::<usize>();
        Self {
            steps,
            used,
            lanes,
            size,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.used);
        for (at, lane) in lanes(self.used).zip(&self.lanes) {
            out.push(lane.smallest);
            let bytes = self.steps.iter().map(|step| step.to_le_bytes()[at]);
            let offsets = bytes.map(|byte| byte.wrapping_sub(lane.smallest).into());
            put_packed(out, &offsets.collect::<Vec<u64>>());
        }
    }
}

fn lanes(used: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |lane| used & (1 << lane) != 0)
}

/// One byte of each of many steps.
struct Lane {
    /// From where on bytes count, such that as few as can be are exceptions.
    smallest: u8,
    size: usize,
}

impl Lane {
    fn new(steps: &[u64], lane: usize) -> Self {
        let mut counts = [0_usize; 256];
        for step in steps {
            counts[usize::from(step.to_le_bytes()[lane])] += 1;
        }
        // How many lie below each byte, twice around.
        let mut below = [0_usize; 513];
        for at in 0..256 {
            below[at + 1] = below[at] + counts[at];
        }
        let (once, again) = below.split_at_mut(257);
        for (again, once) in again.iter_mut().zip(&once[1..]) {
            *again = once + steps.len();
        }
        let mut best = Self {
            smallest: 0,
            size: usize::MAX,
        };
        for smallest in (0..=u8::MAX).filter(|&byte| counts[usize::from(byte)] > 0) {
            for width in 0..=8 {
                let from = usize::from(smallest);
                let within = below[from + (1 << width)] - below[from];
                let size = 2 + (steps.len() * width).div_ceil(8) + 2 * (steps.len() - within);
                if size < best.size {
                    best = Self { smallest, size };
                }
            }
        }
        best
    }
}

/// The highest bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Subtracts byte by byte, without a borrow between bytes.
fn bytewise_difference(value: i64, previous: i64) -> u64 {
    let (a, b) = (value.cast_unsigned(), previous.cast_unsigned());
    // With the highest bits set apart no byte borrows from the next one.
    ((a | HIGH) - (b & !HIGH)) ^ ((a ^ !b) & HIGH)
}
