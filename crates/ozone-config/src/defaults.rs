//! Names and defaults of Ozone 2.2.0's keys, taken from its `ozone-default.xml` files.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Every key with its default, in order of keys.
pub static DEFAULTS: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    include_str!("defaults.tsv").lines().filter_map(|line| line.split_once('\t')).collect()
});

static BY_KEY: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| DEFAULTS.iter().copied().collect());

/// Ozone's default of a key; empty where the key exists but has none.
pub fn default_of(key: &str) -> Option<&'static str> {
    BY_KEY.get(key).copied()
}
