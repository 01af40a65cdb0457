//! From paths to volumes, buckets and keys (`OFSPath`).

use md5::{Digest, Md5};

use super::{FsError, FsSettings};

/// First part of a path that stands for the user's temporary bucket.
const TMP: &str = "tmp";

/// What a path of a file system names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// The volumes.
    Root,
    /// A volume.
    Volume(String),
    /// A key, or the root of a bucket (no key).
    Key {
        /// Volume.
        volume: String,
        /// Bucket.
        bucket: String,
        /// Key without slashes around; empty for the bucket.
        key: String,
        /// Path of the bucket in the file system: `/volume/bucket`, `/tmp`, or nothing.
        prefix: String,
    },
}

impl Place {
    /// What a path of `ofs` names.
    pub(super) fn rooted(path: &str, settings: &FsSettings, user: &str) -> Self {
        let path = path.trim_matches('/');
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        if first.is_empty() {
            return Self::Root;
        }
        if first == TMP {
            let bucket = if settings.shared_tmp { TMP.to_owned() } else { hex(&Md5::digest(user)) };
            return Self::Key {
                volume: TMP.to_owned(),
                bucket,
                key: rest.to_owned(),
                prefix: format!("/{TMP}"),
            };
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Self::Volume(first.to_owned());
        }
        Self::Key {
            volume: first.to_owned(),
            bucket: bucket.to_owned(),
            key: key.trim_matches('/').to_owned(),
            prefix: format!("/{first}/{bucket}"),
        }
    }

    /// Whether it is a bucket itself.
    pub fn is_bucket(&self) -> bool {
        matches!(self, Self::Key { key, .. } if key.is_empty())
    }

    /// Whether two keys are of one bucket.
    pub fn in_same_bucket(&self, other: &Self) -> bool {
        let ids = |place: &Self| match place {
            Self::Root => (String::new(), String::new()),
            Self::Volume(volume) => (volume.clone(), String::new()),
            Self::Key { volume, bucket, .. } => (volume.clone(), bucket.clone()),
        };
        ids(self) == ids(other)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses what no path may have (`OzoneFSUtils.isValidName`).
pub(super) fn check(path: &str) -> Result<(), FsError> {
    let bad = |part: &str| part == "." || part == ".." || part.contains(':');
    if !path.starts_with('/') || path.split('/').any(bad) {
        return Err(FsError::Illegal(format!("Invalid path name Invalid path Name {path}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_root_a_volume_a_bucket_or_a_key() {
        let settings = FsSettings::default();
        let place = |path| Place::rooted(path, &settings, "root");
        let key = |volume: &str, bucket: &str, key: &str, prefix: &str| Place::Key {
            volume: volume.to_owned(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(place("/"), Place::Root);
        assert_eq!(place("/v"), Place::Volume("v".to_owned()));
        assert_eq!(place("/v/b"), key("v", "b", "", "/v/b"));
        assert_eq!(place("/v/b/a/c"), key("v", "b", "a/c", "/v/b"));
        let own = "63a9f0ea7bb98050796b649e85481845";
        assert_eq!(place("/tmp/a"), key("tmp", own, "a", "/tmp"));
        let shared = FsSettings { shared_tmp: true, ..FsSettings::default() };
        assert_eq!(Place::rooted("/tmp", &shared, "root"), key("tmp", "tmp", "", "/tmp"));
        assert!(place("/v/b").is_bucket());
        assert!(!place("/v/b/k").is_bucket());
    }

    #[test]
    fn dots_and_colons_are_refused() {
        assert!(check("/v/b/a..b").is_ok());
        for path in ["/v/../b", "/v/./b", "/v/b/a:b", "v"] {
            assert!(matches!(check(path), Err(FsError::Illegal(_))), "{path}");
        }
    }
}
