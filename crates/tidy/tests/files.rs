//! Files stay readable and speak of the project alone.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file, tests and generated code aside.
const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_source_file_is_too_long_to_hold_in_mind() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    assert!(files.len() > 50, "only {} files found", files.len());
    let too_long: Vec<_> = files
        .iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| (path, fs::read_to_string(path).expect("UTF-8").lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect();
    assert!(too_long.is_empty(), "split these: {too_long:#?}");
}

#[test]
fn every_crate_says_what_it_is_for() {
    for entry in fs::read_dir(root().join("crates")).expect("crates").flatten() {
        let library = entry.path().join("src/lib.rs");
        let text = fs::read_to_string(&library).expect("every crate has a library");
        assert!(text.starts_with("//! "), "{} has no //! at its top", library.display());
    }
}
