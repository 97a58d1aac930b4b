//! Where the stations stand and what surrounds them.

use crate::chance::{Dice, Purpose, Stream};

/// What dominates the air and the sound at a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SiteClass {
    /// At the kerb of a busy street.
    Street,
    /// A quiet residential street or a village.
    Background,
    /// Park, wood or heath.
    Park,
    /// A harbour or industrial estate.
    Industrial,
    /// Within about 50 m of a motorway.
    Motorway,
}

/// What makes a few stations special.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quirk {
    /// Nothing.
    None,
    /// The box stands in a heated room: warm, dark, CO2 of people, little ozone.
    Indoor,
    /// Beside the railway: some 12 dB louder than its neighbours.
    Loud,
    /// Old gas sensors: five times the drift, half the sensitivity.
    Worn,
}

/// One simulated station.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Device number, from 1001 on.
    pub id: u32,
    /// Neighbourhood or village.
    pub place: &'static str,
    /// Degrees east (WGS 84).
    pub longitude: f64,
    /// Degrees north (WGS 84).
    pub latitude: f64,
    /// Metres above sea level.
    pub altitude: f64,
    /// What dominates there.
    pub class: SiteClass,
    /// What is odd about it.
    pub quirk: Quirk,
}

/// Strength of the local sources of one station; medians per class, with a spread between stations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    /// `NOx` of local traffic at mean flow and mean mixing, ppb.
    pub(crate) traffic: f64,
    /// Nearness of the city, 0 (open land) to 1 (centre).
    pub(crate) urban: f64,
    /// Wood stoves, PM2.5 at full burning and mean mixing, ug/m3.
    pub(crate) wood: f64,
    /// Coarse dust of works, PM10, ug/m3.
    pub(crate) dust: f64,
    /// Fireworks relative to a city street.
    pub(crate) fireworks: f64,
    /// Traffic noise at mean flow, dB(A).
    pub(crate) traffic_noise: f64,
    /// Voices, gardens and birds by day, dB(A).
    pub(crate) activity_noise: f64,
    /// Machines day and night, dB(A).
    pub(crate) machine_noise: f64,
    /// Part of the sky that is seen, 0 to 1.
    pub(crate) sky: f64,
}

impl Sources {
    pub(crate) fn new(seed: u64, station: &Station) -> Self {
        let mut dice = Stream::new(seed, u64::from(station.id), Purpose::Site).dice(1);
        let [traffic, wood, dust, fireworks, road, activity, machine, sky] = match station.class {
            SiteClass::Street => [14.0, 3.0, 1.5, 1.0, 66.0, 54.0, 36.0, 0.55],
            SiteClass::Background => [2.2, 7.0, 0.5, 0.8, 52.0, 47.0, 30.0, 0.75],
            SiteClass::Park => [0.8, 3.0, 0.3, 0.3, 44.0, 43.0, 22.0, 0.6],
            SiteClass::Industrial => [6.0, 2.0, 6.0, 0.4, 58.0, 46.0, 51.0, 0.9],
            SiteClass::Motorway => [20.0, 2.5, 2.0, 0.4, 69.0, 40.0, 34.0, 0.95],
        };
        let loud = if station.quirk == Quirk::Loud {
            12.0
        } else {
            0.0
        };
        let distance = distance(station.longitude, station.latitude, 5.86, 51.843);
        Self {
            traffic: traffic * dice.spread(0.25),
            urban: (-(distance / 4500.0).powi(2)).exp(),
            wood: wood * dice.spread(0.35),
            dust: dust * dice.spread(0.3),
            fireworks: fireworks * dice.spread(0.3),
            traffic_noise: road + 2.0 * dice.normal() + loud,
            activity_noise: activity + 2.0 * dice.normal() + loud,
            machine_noise: machine + 3.0 * dice.normal(),
            sky: (sky * dice.spread(0.15)).min(1.0),
        }
    }
}

/// Lays `count` stations out over the places, each place once before any place twice.
pub(crate) fn stations(seed: u64, count: usize) -> Vec<Station> {
    let order = Stream::new(seed, 0, Purpose::Place);
    let mut places: Vec<(u64, &Place)> = (0_i64..)
        .zip(&PLACES)
        .map(|(i, place)| (order.bits(i), place))
        .collect();
    places.sort_unstable_by_key(|(rank, _)| *rank);

    let mut stations: Vec<Station> = (1001_u32..)
        .zip(places.iter().map(|(_, place)| *place).cycle())
        .take(count)
        .map(|(id, place)| {
            let mut dice = Stream::new(seed, u64::from(id), Purpose::Site).dice(0);
            let (longitude, latitude) = on_land(place, &mut dice);
            Station {
                id,
                place: place.name,
                longitude,
                latitude,
                altitude: place.altitude + dice.between(-1.5, 3.0),
                class: place.class,
                quirk: Quirk::None,
            }
        })
        .collect();

    // The places come in random order, so fixed ranks are random stations. A small city has none of them.
    for (rank, quirk) in [(3, Quirk::Indoor), (7, Quirk::Loud), (11, Quirk::Worn)] {
        if let Some(station) = stations.get_mut(rank) {
            station.quirk = quirk;
        }
    }
    stations
}

/// A point near the centre of the place that is not in the river.
fn on_land(place: &Place, dice: &mut Dice) -> (f64, f64) {
    for _ in 0..8 {
        let longitude = place.longitude + 180.0 * dice.normal() / METRES_PER_LONGITUDE;
        let latitude = place.latitude + 180.0 * dice.normal() / METRES_PER_LATITUDE;
        if river_distance(longitude, latitude) > BANK {
            return (longitude, latitude);
        }
    }
    (place.longitude, place.latitude)
}

/// Metres of a degree of latitude.
pub(crate) const METRES_PER_LATITUDE: f64 = 111_270.0;
/// Metres of a degree of longitude at 51.84 N.
pub(crate) const METRES_PER_LONGITUDE: f64 = 68_850.0;

/// Distance in metres between two points of the city, on a plane.
fn distance(longitude: f64, latitude: f64, other_longitude: f64, other_latitude: f64) -> f64 {
    let east = (longitude - other_longitude) * METRES_PER_LONGITUDE;
    let north = (latitude - other_latitude) * METRES_PER_LATITUDE;
    east.hypot(north)
}

/// From the middle of the river to dry ground, with the uncertainty of the course below (m).
const BANK: f64 = 350.0;

/// Distance in metres to the middle of the Waal or of its side channel at Lent.
fn river_distance(longitude: f64, latitude: f64) -> f64 {
    [&WAAL[..], &SPIEGELWAAL[..]]
        .iter()
        .flat_map(|course| course.windows(2))
        .map(|leg| {
            let [(lon0, lat0), (lon1, lat1)] = [leg[0], leg[1]];
            let (ax, ay) = (
                (lon1 - lon0) * METRES_PER_LONGITUDE,
                (lat1 - lat0) * METRES_PER_LATITUDE,
            );
            let px = (longitude - lon0) * METRES_PER_LONGITUDE;
            let py = (latitude - lat0) * METRES_PER_LATITUDE;
            let along = ((px * ax + py * ay) / (ax * ax + ay * ay)).clamp(0.0, 1.0);
            (px - along * ax).hypot(py - along * ay)
        })
        .fold(f64::INFINITY, f64::min)
}

/// Course of the Waal from Druten to Millingen, read off a map to about 150 m.
const WAAL: [(f64, f64); 18] = [
    (5.600, 51.897),
    (5.660, 51.893),
    (5.700, 51.890),
    (5.737, 51.8885),
    (5.770, 51.878),
    (5.800, 51.866),
    (5.820, 51.8615),
    (5.8395, 51.8575),
    (5.8572, 51.8533),
    (5.8715, 51.8525),
    (5.886, 51.857),
    (5.900, 51.8655),
    (5.915, 51.8735),
    (5.940, 51.8745),
    (5.965, 51.870),
    (5.990, 51.8725),
    (6.015, 51.8745),
    (6.060, 51.873),
];

const SPIEGELWAAL: [(f64, f64); 3] = [(5.8455, 51.860), (5.857, 51.8575), (5.870, 51.8565)];

struct Place {
    name: &'static str,
    longitude: f64,
    latitude: f64,
    altitude: f64,
    class: SiteClass,
}

const fn place(
    name: &'static str,
    longitude: f64,
    latitude: f64,
    altitude: f64,
    class: SiteClass,
) -> Place {
    Place {
        name,
        longitude,
        latitude,
        altitude,
        class,
    }
}

/// Neighbourhoods and villages, positions to about 300 m, ground level to about 5 m.
const PLACES: [Place; 72] = {
    use SiteClass::{Background, Industrial, Motorway, Park, Street};
    [
        place("Plein 1944", 5.8622, 51.8445, 28.0, Street),
        place("Keizer Karelplein", 5.8560, 51.8422, 35.0, Street),
        place("Stationsplein", 5.8530, 51.8432, 30.0, Street),
        place("Graafseweg", 5.8420, 51.8390, 32.0, Street),
        place("Sint Annastraat", 5.8600, 51.8310, 45.0, Street),
        place("Berg en Dalseweg", 5.8790, 51.8400, 55.0, Street),
        place("Hatertseweg", 5.8440, 51.8240, 33.0, Street),
        place("Energieweg", 5.8290, 51.8480, 15.0, Street),
        place("Heyendaalseweg", 5.8680, 51.8270, 48.0, Street),
        place("Wijchenseweg", 5.8120, 51.8310, 14.0, Street),
        place("Groesbeekseweg", 5.8690, 51.8330, 52.0, Street),
        place("Griftdijk", 5.8620, 51.8720, 10.0, Street),
        place("Kronenburgerpark", 5.8565, 51.8462, 22.0, Park),
        place("Hunnerpark", 5.8715, 51.8470, 32.0, Park),
        place("Goffertpark", 5.8370, 51.8240, 35.0, Park),
        place("Heumensoord", 5.8650, 51.7990, 42.0, Park),
        place("Mookerheide", 5.9000, 51.7600, 55.0, Park),
        place("De Bruuk", 5.9500, 51.7550, 25.0, Park),
        place("Staddijk", 5.8060, 51.8000, 9.0, Park),
        place("Heyendaal", 5.8650, 51.8210, 45.0, Background),
        place("Bottendaal", 5.8540, 51.8375, 40.0, Background),
        place("Altrade", 5.8680, 51.8390, 45.0, Background),
        place("Hunnerberg", 5.8790, 51.8440, 55.0, Background),
        place("Galgenveld", 5.8640, 51.8345, 48.0, Background),
        place("Hengstdal", 5.8850, 51.8370, 60.0, Background),
        place("Kwakkenberg", 5.8850, 51.8270, 65.0, Background),
        place("Brakkenstein", 5.8700, 51.8110, 45.0, Background),
        place("Hatert", 5.8330, 51.8110, 28.0, Background),
        place("Nije Veld", 5.8450, 51.8330, 35.0, Background),
        place("Wolfskuil", 5.8350, 51.8430, 25.0, Background),
        place("Biezen", 5.8420, 51.8490, 18.0, Background),
        place("Neerbosch-Oost", 5.8200, 51.8370, 15.0, Background),
        place("Heseveld", 5.8320, 51.8370, 25.0, Background),
        place("Hees", 5.8230, 51.8440, 16.0, Background),
        place("Tolhuis", 5.8000, 51.8150, 9.0, Background),
        place("Zwanenveld", 5.7980, 51.8220, 9.0, Background),
        place("Meijhorst", 5.8080, 51.8150, 9.0, Background),
        place("Aldenhof", 5.8060, 51.8080, 9.0, Background),
        place("Lankforst", 5.8170, 51.8090, 10.0, Background),
        place("Weezenhof", 5.7900, 51.8060, 9.0, Background),
        place("Lindenholt", 5.7970, 51.8350, 9.0, Background),
        place("Lent", 5.8600, 51.8650, 10.0, Background),
        place("Waalsprong", 5.8450, 51.8720, 10.0, Background),
        place("Oosterhout", 5.8310, 51.8770, 10.0, Background),
        place("Bemmel", 5.8990, 51.8910, 10.0, Background),
        place("Elst", 5.8490, 51.9190, 9.0, Background),
        place("Gendt", 5.9720, 51.8770, 11.0, Background),
        place("Haalderen", 5.9330, 51.8860, 11.0, Background),
        place("Valburg", 5.7900, 51.9120, 9.0, Background),
        place("Andelst", 5.7290, 51.9090, 9.0, Background),
        place("Beuningen", 5.7680, 51.8610, 9.0, Background),
        place("Ewijk", 5.7400, 51.8680, 9.0, Background),
        place("Winssen", 5.7040, 51.8810, 9.0, Background),
        place("Wijchen", 5.7250, 51.8090, 9.0, Background),
        place("Alverna", 5.7700, 51.7960, 10.0, Background),
        place("Malden", 5.8540, 51.7810, 28.0, Background),
        place("Molenhoek", 5.8770, 51.7660, 22.0, Background),
        place("Overasselt", 5.7870, 51.7610, 10.0, Background),
        place("Groesbeek", 5.9360, 51.7770, 35.0, Background),
        place("Berg en Dal", 5.9150, 51.8240, 85.0, Background),
        place("Beek-Ubbergen", 5.9240, 51.8290, 18.0, Background),
        place("Ooij", 5.9400, 51.8560, 12.0, Background),
        place("Leuth", 5.9870, 51.8400, 12.0, Background),
        place("Millingen aan de Rijn", 6.0450, 51.8650, 13.0, Background),
        place("Westkanaaldijk", 5.8180, 51.8500, 12.0, Industrial),
        place("Bijsterhuizen", 5.7800, 51.8320, 9.0, Industrial),
        place("Weurt", 5.8110, 51.8550, 11.0, Industrial),
        place("De Grift", 5.8690, 51.8790, 10.0, Industrial),
        place("A73 Lindenholt", 5.7860, 51.8280, 10.0, Motorway),
        place("A325 Lent", 5.8660, 51.8680, 11.0, Motorway),
        place("A15 Ressen", 5.8740, 51.8850, 11.0, Motorway),
        place("A50 Ewijk", 5.7420, 51.8600, 10.0, Motorway),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_station_stands_in_the_river() {
        for place in &PLACES {
            let distance = river_distance(place.longitude, place.latitude);
            assert!(distance > BANK, "{} {distance}", place.name);
        }
        for station in stations(5, 500) {
            assert!(river_distance(station.longitude, station.latitude) > BANK);
            assert!(distance(station.longitude, station.latitude, 5.86, 51.84) < 20_000.0);
        }
    }

    #[test]
    fn a_default_city_has_sites_of_all_classes_and_three_special_stations() {
        for seed in 0..20 {
            let city = stations(seed, 60);
            for class in [
                SiteClass::Street,
                SiteClass::Background,
                SiteClass::Park,
                SiteClass::Industrial,
                SiteClass::Motorway,
            ] {
                assert!(
                    city.iter().any(|s| s.class == class),
                    "seed {seed}: no {class:?}"
                );
            }
            assert_eq!(city.iter().filter(|s| s.quirk != Quirk::None).count(), 3);
        }
    }
}
