//! Pages of the documentation that are made from data are what the data says.

use std::fmt::Write as _;

use smartem_model::Units;

use crate::support::root;

#[test]
fn the_page_of_units_lists_what_the_vocabulary_has() {
    let text = std::fs::read_to_string(root().join("vocabulary/units.toml")).unwrap();
    compare_or_write("docs/reference/units.md", &units(&text));
}

/// The page of the units, by quantity and code.
fn units(text: &str) -> String {
    let units = Units::from_toml(text).unwrap();
    let mut rows: Vec<_> = units.iter().collect();
    rows.sort_by_key(|(code, unit)| (unit.quantity.to_string(), code.to_string()));
    let mut page = "<!-- Made from vocabulary/units.toml by `make bless`; not to be edited here. -->

# Units

Units are codes of the [Unified Code for Units of Measure](https://ucum.org) (UCUM). Case matters: `Pa` is the pascal,
`C` the coulomb. `/api/v1/units` serves this table; how a station type declares a unit that is not here is told in
[Station-type definitions](station-types.md#units).

| Quantity | Code | Written | English | Dutch |
|---|---|---|---|---|
"
    .to_owned();
    for (code, unit) in rows {
        let (quantity, symbol, label) = (&unit.quantity, &unit.symbol, &unit.label);
        writeln!(
            page,
            "| {quantity} | `{code}` | {symbol} | {} | {} |",
            label.en, label.nl
        )
        .unwrap();
    }
    page
}

/// Compares a page with what it should be; with `BLESS` in the environment, writes it.
fn compare_or_write(page: &str, expected: &str) {
    let path = root().join(page);
    #[expect(clippy::disallowed_methods, reason = "whoever blesses says so there")]
    let is_blessing = std::env::var_os("BLESS").is_some();
    if is_blessing {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{page} is not what the data says; `make bless` writes it anew"
    );
}
