//! Geohashes: a position as a short text whose beginnings are larger areas around it.

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// The geohash of a position in degrees, of so many characters.
///
/// A position exactly on the line between two cells belongs to the southern or western one, as in
/// the original; most other encoders choose the other.
pub fn geohash(lon: f64, lat: f64, characters: u8) -> String {
    let mut longitudes = Halving::of(-180.0, 180.0);
    let mut latitudes = Halving::of(-90.0, 90.0);
    let mut is_longitudes_turn = true;
    let mut text = String::with_capacity(characters.into());
    for _ in 0..characters {
        let mut index = 0;
        for _ in 0..5 {
            let is_upper = if is_longitudes_turn {
                longitudes.keep_half_of(lon)
            } else {
                latitudes.keep_half_of(lat)
            };
            index = index * 2 + usize::from(is_upper);
            is_longitudes_turn = !is_longitudes_turn;
        }
        text.push(char::from(ALPHABET[index]));
    }
    text
}

struct Halving {
    low: f64,
    high: f64,
}

impl Halving {
    fn of(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Keeps the half that holds the value; whether that is the upper one.
    fn keep_half_of(&mut self, value: f64) -> bool {
        let middle = f64::midpoint(self.low, self.high);
        let is_upper = value > middle;
        if is_upper {
            self.low = middle;
        } else {
            self.high = middle;
        }
        is_upper
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// West, east, south and north of a cell, decoded from the text alone.
    fn cell(text: &str) -> [f64; 4] {
        let [mut west, mut east, mut south, mut north] = [-180.0, 180.0, -90.0, 90.0];
        let bits = text.bytes().flat_map(|byte| {
            let index = ALPHABET.iter().position(|letter| *letter == byte).unwrap();
            (0..5).rev().map(move |bit| index >> bit & 1 == 1)
        });
        for (at, is_upper) in bits.enumerate() {
            let (low, high) = if at % 2 == 0 {
                (&mut west, &mut east)
            } else {
                (&mut south, &mut north)
            };
            let middle = f64::midpoint(*low, *high);
            *if is_upper { low } else { high } = middle;
        }
        [west, east, south, north]
    }

    #[test]
    fn places_have_their_well_known_hashes() {
        assert_eq!(geohash(10.40744, 57.64911, 11), "u4pruydqqvj");
        assert_eq!(geohash(-5.6, 42.6, 5), "ezs42");
        assert_eq!(geohash(5.671_198, 51.472_593, 12), "u1hhc439s6z9");
        assert_eq!(geohash(-70.648_345, -33.456_94, 7), "66jc8m7");
    }

    #[test]
    fn on_the_line_the_lower_half_is_taken() {
        assert_eq!(geohash(0.0, 0.0, 12), "7zzzzzzzzzzz");
        assert_eq!(geohash(5.0, 0.0, 7), "kpgxczb");
        assert_eq!(geohash(180.0, 90.0, 5), "zzzzz");
        assert_eq!(geohash(-180.0, -90.0, 5), "00000");
    }

    #[test]
    fn no_characters_are_no_text() {
        assert_eq!(geohash(5.0, 51.0, 0), "");
    }

    proptest! {
        #[test]
        fn a_position_lies_in_its_cell(lon in -180.0..=180.0_f64, lat in -90.0..=90.0_f64, characters in 1_u8..=12) {
            let text = geohash(lon, lat, characters);
            let [west, east, south, north] = cell(&text);
            prop_assert!(west <= lon && lon <= east, "{text}: {west} {lon} {east}");
            prop_assert!(south <= lat && lat <= north, "{text}: {south} {lat} {north}");
            let bits = i32::from(characters) * 5;
            prop_assert!((east - west - 360.0 / 2_f64.powi((bits + 1) / 2)).abs() < 1e-9);
            prop_assert!((north - south - 180.0 / 2_f64.powi(bits / 2)).abs() < 1e-9);
        }

        #[test]
        fn a_shorter_hash_is_the_beginning_of_a_longer_one(lon in -180.0..=180.0_f64, lat in -90.0..=90.0_f64, characters in 1_u8..12) {
            prop_assert!(geohash(lon, lat, 12).starts_with(&geohash(lon, lat, characters)));
        }
    }
}
