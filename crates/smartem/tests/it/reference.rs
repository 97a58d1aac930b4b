//! Pages of the documentation that are made from data are what the data says.

use std::fmt::Write as _;

use smartem_model::Units;

use crate::support::{Place, root, text};

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

/// Kind and name of every part of chains, as the program lists them.
fn parts(place: &Place) -> Vec<(String, String)> {
    let listed = place.run(&["etl", "parts"]);
    text(&listed.stdout)
        .lines()
        .skip(1)
        .map(|line| {
            let mut words = line.split_whitespace();
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            (kind.to_owned(), name.to_owned())
        })
        .collect()
}

#[test]
fn every_part_of_a_chain_has_its_page_and_its_example_is_a_good_configuration() {
    let place = Place::new();
    let parts = parts(&place);
    assert!(parts.len() > 5, "{parts:?}");
    let mut index = "<!-- Made from what the parts say of themselves by `make bless`; not to be edited here. -->\n\n\
        # Parts of chains\n\nA process is a chain `input | filters | outputs` of these; \
        [Declare a process](../../how-to/declare-a-process.md) tells how. `smartem etl parts <name>` prints their pages.\n\n\
        | Kind | Part | |\n|---|---|---|\n"
        .to_owned();
    let mut told = std::collections::BTreeSet::new();
    for (kind, name) in &parts {
        let output = place.run(&["etl", "parts", name]);
        let pages = text(&output.stdout);
        // An input and an output may share a name.
        let page = pages.split_inclusive("```\n").collect::<String>();
        let page = page
            .split("\n# ")
            .map(|page| format!("# {}\n", page.trim_start_matches("# ").trim_end()))
            .find(|page| page.starts_with(&format!("# `{name}` ({kind})")))
            .unwrap();
        let summary = page.lines().nth(2).unwrap().to_owned();
        let file = format!("{kind}-{name}.md");
        writeln!(index, "| {kind} | [`{name}`]({file}) | {summary} |").unwrap();
        compare_or_write(&format!("docs/reference/chains/{file}"), &page);
        let example = page
            .split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        place.write("smartem.toml", example);
        let checked = place.run(&["config", "check"]);
        assert!(
            checked.status.success(),
            "{file}: {}",
            text(&checked.stderr)
        );
        told.insert(file);
    }
    compare_or_write("docs/reference/chains/README.md", &index);
    for entry in std::fs::read_dir(root().join("docs/reference/chains")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || told.contains(&name),
            "{name} is the page of no part"
        );
    }
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
