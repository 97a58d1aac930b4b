//! What the reference shows as an example can be built.

use std::sync::Arc;

use smartem_collect::harvest;
use smartem_etl::Site;
use toml::Table;

use crate::recorder::{catalogue, vocabulary};

#[test]
fn the_examples_of_the_reference_can_be_built() {
    let site = Site {
        process: "example".to_owned(),
        folder: "/tmp".into(),
        catalogue: Arc::new(catalogue()),
        vocabulary: Arc::new(vocabulary()),
    };
    for kind in [harvest::csv::kind(), harvest::sensor_community::kind()] {
        let example: Table = toml::from_str(kind.about.example).unwrap();
        let processes = example["process"].as_table().unwrap().values();
        let sources: Vec<Table> = processes
            .flat_map(|process| process["source"].as_array().unwrap())
            .map(|source| source.as_table().unwrap().clone())
            .collect();
        assert!(!sources.is_empty());
        for source in sources {
            let built = kind.build(source, &site).map(drop);
            built.unwrap_or_else(|error| panic!("{}: {error}", kind.about.name));
        }
        let mut unknown = Table::new();
        unknown.insert("nmae".to_owned(), "x".into());
        assert!(kind.build(unknown, &site).is_err());
    }
}
