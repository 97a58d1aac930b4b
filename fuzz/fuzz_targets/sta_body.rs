//! No body makes its readers panic, and the short way to read an observation gives what the long way gives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smartem_sta::{EntityType, Property, Version, body};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(rows) = body::data_array(bytes) {
        for problem in rows.iter().filter_map(|row| row.as_ref().err()) {
            assert!(problem.pointer.contains("/dataArray/"));
        }
    }
    let short = body::observation(bytes, Some(1));
    let Ok(value) = body::json(bytes) else {
        assert!(short.is_none());
        return;
    };
    let earlier = |name: &str| name.parse().ok();
    for version in [Version::V1_0, Version::V1_1, Version::V2_0] {
        for of in EntityType::ALL {
            let draft = body::draft(of, version, &value, &earlier);
            if let Err(error) = &draft {
                assert!(!error.to_string().is_empty());
            }
            for replace in [false, true] {
                let _ = body::changes(of, version, &value, replace, &earlier);
            }
            let _ = body::reference(of, version, &value, &earlier);
            if of == EntityType::Observation
                && version == Version::V1_1
                && let Some(short) = &short
            {
                let long = draft.expect("what the short way reads is good");
                let time = long.fields.get(&Property::PhenomenonTime);
                assert_eq!(
                    short.phenomenon_time.map(|it| it.to_string()).as_deref(),
                    time.and_then(|it| it.as_str())
                );
            }
        }
    }
});
