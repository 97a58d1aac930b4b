//! No path and no query string makes their readers panic, and a link made of a query asks for the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smartem_sta::{EntityType, Query, ResourcePath, Version};

fuzz_target!(|text: &str| {
    for version in [Version::V1_0, Version::V1_1, Version::V2_0] {
        if let Ok(path) = ResourcePath::parse(text, version) {
            let _ = (path.entity_type(), path.is_single());
        }
        for (of, single) in [
            (EntityType::Thing, false),
            (EntityType::Datastream, true),
            (EntityType::Observation, false),
        ] {
            match Query::parse(text, of, version, single) {
                Ok(query) => {
                    let again = Query::parse(&query.to_url(), of, version, single);
                    assert_eq!(again.as_ref(), Ok(&query));
                    for expand in &query.expand {
                        let (to, single) = (expand.relation.to, !expand.relation.is_many);
                        let url = expand.query.to_url();
                        let nested = Query::parse(&url, to, version, single);
                        assert!(nested.is_ok(), "{url}: {nested:?}");
                    }
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
});
