//! Every defect that the rules cite has a test that is named after its number, in whatever crate.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::root;

/// The defects that the rules cite.
#[rustfmt::skip]
const CITED: [u32; 46] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 33, 41, 43, 50, 57, 58, 59, 63, 64, 67, 69, 101, 111, 112,
];

#[test]
fn every_defect_that_the_rules_cite_has_a_test_of_its_name() {
    let mut tested = BTreeSet::new();
    collect_tests(&root().join("crates"), &mut tested);
    let missing: Vec<&u32> = CITED.iter().filter(|n| !tested.contains(*n)).collect();
    assert!(missing.is_empty(), "no test is named after {missing:?}");
}

#[test]
fn the_list_of_cited_defects_is_that_of_the_rules() {
    let Ok(rules) = std::fs::read_to_string(root().join("../shared/domain/refining.md")) else {
        println!("skipped: no shared rules beside the project");
        return;
    };
    // `**[D-058, D-101]**`, which may be broken over two lines.
    let brackets = rules.split("**[").skip(1);
    let cited: BTreeSet<u32> = brackets
        .filter_map(|after| after.split_once("]**"))
        .flat_map(|(inside, _)| inside.split("D-").skip(1))
        .filter_map(number)
        .collect();
    assert_eq!(cited, BTreeSet::from(CITED));
}

/// The numbers of all functions below a folder that are named after a defect.
fn collect_tests(folder: &Path, tested: &mut BTreeSet<u32>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tests(&path, tested);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            tested.extend(text.split("fn d_").skip(1).filter_map(number));
        }
    }
}

/// The number of three digits at the beginning of a text.
fn number(text: &str) -> Option<u32> {
    text.get(..3)?.parse().ok()
}
