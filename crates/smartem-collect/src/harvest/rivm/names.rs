//! How the sources write stations and phenomena, and what we call them.

/// Normalised phenomena and the indicators that they are.
const COMPONENTS: [(&str, &str); 22] = [
    ("carbon_monoxide__air_", "co"),
    ("carbon_monoxide", "co"),
    ("co", "co"),
    ("nitrogen_monoxide__air_", "no"),
    ("nitrogen_monoxide", "no"),
    ("no", "no"),
    ("nitrogen_dioxide__air_", "no2"),
    ("nitrogen_dioxide", "no2"),
    ("no2", "no2"),
    ("ozone__air_", "o3"),
    ("ozone", "o3"),
    ("o3", "o3"),
    ("pm10", "pm10"),
    ("particulate_matter___10__m__aerosol_", "pm10"),
    ("particulate_matter___10_um__aerosol_", "pm10"),
    ("particulate_matter_10", "pm10"),
    ("pm2_5", "pm2_5"),
    ("pm25", "pm2_5"),
    ("particulate_matter___2_5__m__aerosol_", "pm2_5"),
    ("particulate_matter___2_5_um__aerosol_", "pm2_5"),
    ("pm1", "pm1"),
    ("particulate_matter___1__m__aerosol_", "pm1"),
];

/// The indicator of a phenomenon: of its label, or what stands behind its last `/` or a leading number
/// (`http://host/observableProperty/NO2`, `42602 - NO2`).
pub(super) fn indicator_of(label: &str) -> Option<&'static str> {
    let known = |label: &str| {
        let name = normalised(label);
        let found = COMPONENTS.iter().find(|(known, _)| *known == name);
        found.map(|(_, indicator)| *indicator)
    };
    let behind_path = label.trim_end_matches('/').rsplit('/').next();
    let behind_number = label.split_once(" - ").and_then(|(number, name)| {
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(name)
    });
    known(label)
        .or_else(|| behind_path.and_then(known))
        .or_else(|| behind_number.and_then(known))
}

/// In lower case, with `_` for all that is neither an ASCII letter nor a digit.
pub(super) fn normalised(label: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    label.chars().map(one).collect::<String>().to_lowercase()
}

/// The name of a site: `Nijmegen-Graafseweg: NO2` is `nijmegen_graafseweg`.
///
/// RIVM has a station for each component of a site.
pub(super) fn site_of(station: &str) -> String {
    let site = station.rsplit_once(": ").map_or(station, |(site, _)| site);
    normalised(site.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_original() {
        for (label, name) in [
            ("Carbon monoxide (air)", "carbon_monoxide__air_"),
            ("Nitrogen dioxide (air)", "nitrogen_dioxide__air_"),
            ("Ozone (air)", "ozone__air_"),
        ] {
            assert_eq!(normalised(label), name);
        }
        for (label, site) in [
            ("Nijmegen-Graafseweg: NO2", "nijmegen_graafseweg"),
            ("Utrecht-de Jongweg: NO2", "utrecht_de_jongweg"),
            ("40AB01 - ANTWERPEN", "40ab01___antwerpen"),
            ("station 23", "station_23"),
        ] {
            assert_eq!(site_of(label), site);
        }
    }

    #[test]
    fn phenomena_are_found_however_they_are_written() {
        for (label, indicator) in [
            ("Carbon monoxide (air)", Some("co")),
            ("42602 - NO2", Some("no2")),
            ("81104 - PM2.5", Some("pm2_5")),
            ("Particulate matter < 2.5 µm (aerosol)", Some("pm2_5")),
            ("Particulate matter < 10 µm (aerosol)", Some("pm10")),
            (
                "http://citygis.nl/smartem/observableProperty/O3",
                Some("o3"),
            ),
            (
                "http://dd.eionet.europa.eu/vocabulary/aq/pollutant/NO2",
                Some("no2"),
            ),
            ("Black Carbon", None),
            ("Ammonia (air)", None),
        ] {
            assert_eq!(indicator_of(label), indicator, "{label}");
        }
    }

    #[test]
    fn every_component_is_in_its_normal_form() {
        for (name, _) in COMPONENTS {
            assert_eq!(normalised(name), name);
        }
    }
}
