//! Misspelt keys.

use std::fmt;

use crate::{Configuration, DEFAULTS, default_of};

/// Prefixes of keys that are Ozone's; others (`fs.`, `hadoop.`, `ipc.`, …) are somebody else's.
const OURS: [&str; 3] = ["ozone.", "hdds.", "dfs.container."];
/// Edits up to which a key counts as a misspelling.
const EDITS_MAX: usize = 3;

/// A written key that nothing reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// As written.
    pub key: String,
    /// What was probably meant.
    pub meant: Option<&'static str>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown configuration key {}", self.key)?;
        match self.meant {
            Some(meant) => write!(f, "; did you mean {meant}?"),
            None => Ok(()),
        }
    }
}

pub fn unknown_keys(conf: &Configuration) -> Vec<UnknownKey> {
    conf.written()
        .map(|(key, _)| key)
        .filter(|key| OURS.iter().any(|prefix| key.starts_with(prefix)) && !is_known(key))
        .map(|key| UnknownKey { key: key.to_owned(), meant: nearest(key) })
        .collect()
}

/// A key, or a key with suffixes for a service id and node (`ozone.om.address.service.om1`).
fn is_known(key: &str) -> bool {
    let mut prefix = key;
    loop {
        if default_of(prefix).is_some() {
            return true;
        }
        match prefix.rfind('.') {
            Some(dot) => prefix = &prefix[..dot],
            None => return false,
        }
    }
}

fn nearest(key: &str) -> Option<&'static str> {
    DEFAULTS
        .iter()
        .map(|(known, _)| (edits(key, known), *known))
        .filter(|(edits, _)| *edits <= EDITS_MAX)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein distance, cut off beyond [`EDITS_MAX`].
fn edits(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > EDITS_MAX {
        return usize::MAX;
    }
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
