//! Rebuilds this crate when the viewer was built anew, so that the binary never holds an old one.

fn main() {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dist");
    // A folder that is not there counts as changed in every build. Where it cannot be made, that
    // is what happens, and nothing worse.
    let _ = std::fs::create_dir_all(dist);
    println!("cargo::rerun-if-changed={dist}");
}
