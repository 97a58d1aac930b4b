//! The models of the demo, on a city that they were not fitted to.

use smartem_model::Vocabulary;
use smartem_refine::{Definition, Model, ModelSet};
use smartem_simulate::city::{City, CityConfig, Quirk};

use crate::helpers::at;
use crate::scores::{GASES, Judged, judge_day};

const MODELS: [&str; 3] = [
    include_str!("../../../../models/demo/co.json"),
    include_str!("../../../../models/demo/no2.json"),
    include_str!("../../../../models/demo/o3.json"),
];

fn definition() -> Definition {
    let vocabulary = include_str!("../../../../vocabulary/indicators.toml");
    let units = include_str!("../../../../vocabulary/units.toml");
    let vocabulary = Vocabulary::from_toml(vocabulary, units).unwrap();
    Definition::from_toml(include_str!("../../../../devices/jose.toml"), &vocabulary).unwrap()
}

#[test]
fn demo_models_explain_the_gases_at_sound_boxes_of_an_unseen_city() {
    let definition = definition();
    let mut models = ModelSet::default();
    for (gas, text) in GASES.into_iter().zip(MODELS) {
        models.insert(Model::from_json(text, gas, &definition).unwrap());
    }
    let city = City::new(CityConfig {
        seed: 77,
        stations: 16,
        ..CityConfig::starting(at("2027-01-01T00:00:00Z"))
    })
    .unwrap();
    let mut judged: [Judged; 3] = Default::default();
    let days = ["2027-01-20", "2027-04-21", "2027-07-22", "2027-10-23"];
    let sound = city.stations().iter().filter(|s| s.quirk != Quirk::Worn);
    for (station, day) in sound.zip(days.iter().cycle()) {
        let day = (&city, station, day.parse().unwrap());
        judge_day(day, 4, &definition, &models, &mut judged);
    }
    for (gas, judged) in GASES.iter().zip(judged) {
        let (hours, r2) = (judged.hours.len(), judged.r2());
        assert!(hours > 80, "{gas}: {hours} hours");
        assert!(r2 > 0.8, "{gas}: R2 {r2}, RMSE {}", judged.rmse());
        let (accepted, rejected) = (judged.accepted, judged.rejected);
        assert!(
            rejected * 200 < accepted,
            "{gas}: {rejected} of {accepted} refused"
        );
    }
}

#[test]
fn demo_models_say_that_they_are_for_the_demo_and_how_they_were_made() {
    for (gas, text) in GASES.into_iter().zip(MODELS) {
        let model: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(model["gas"], gas);
        assert_eq!(model["demo"], true);
        assert_eq!(model["training"]["command"], "make demo-models");
        let stated = model["training"]["test"]["hourly_means_of_sound_stations"]["r2"]
            .as_f64()
            .unwrap();
        assert!(stated > 0.8, "{gas} {stated}");
    }
}
