//! Which keys carry which tag (`ConfigTag` and the tags of Ozone's default settings).

use std::sync::LazyLock;

/// Every tag, as a genuine server lists them.
pub const NAMES: [&str; 33] = [
    "ACL",
    "BALANCER",
    "CLIENT",
    "CONTAINER",
    "CRYPTO_COMPLIANCE",
    "DATANODE",
    "DATASTREAM",
    "DEBUG",
    "DELETION",
    "DEPRECATED",
    "DISKBALANCER",
    "FREON",
    "HA",
    "HDDS",
    "KERBEROS",
    "MANAGEMENT",
    "OM",
    "OPERATION",
    "OZONE",
    "OZONEFS",
    "PERFORMANCE",
    "PIPELINE",
    "RATIS",
    "RECON",
    "REQUIRED",
    "S3GATEWAY",
    "SCM",
    "SECURITY",
    "STORAGE",
    "TLS",
    "TOKEN",
    "UPGRADE",
    "X509",
];

static TAGS: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    include_str!("tags.tsv").lines().filter_map(|line| line.split_once('\t')).collect()
});

/// The keys with this tag, in order.
pub fn keys_of(tag: &str) -> impl Iterator<Item = &'static str> {
    TAGS.iter().filter(move |(_, tags)| tags.split(',').any(|one| one == tag)).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_tag() {
        assert!(keys_of("OM").any(|key| key == "ozone.om.address"));
        assert_eq!(keys_of("NONSENSE").count(), 0);
        assert!(NAMES.iter().filter(|tag| keys_of(tag).next().is_some()).count() > 25);
    }
}
