//! What volumes, buckets and keys may be called (`HddsClientUtils.verifyResourceName`, `OmUtils`).

use om_proto::Status;

use crate::error::OmError;

/// Shortest and longest S3 name, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 3..=63;
/// A name that is too long is cut to this in messages, in characters.
const REPORTED_CHARS_MAX: usize = 200;
/// Where snapshots appear in a bucket.
const SNAPSHOT_FOLDER: &str = ".snapshot";

/// Checks a volume's name.
///
/// # Errors
/// INVALID_VOLUME_NAME.
pub fn check_volume(name: &str, strict: bool) -> Result<(), OmError> {
    check_resource(name, "volume", strict)
        .map_err(|message| OmError::new(Status::InvalidVolumeName, message))
}

/// Checks a bucket's name.
///
/// # Errors
/// INVALID_BUCKET_NAME.
pub fn check_bucket(name: &str, strict: bool) -> Result<(), OmError> {
    check_resource(name, "bucket", strict)
        .map_err(|message| OmError::new(Status::InvalidBucketName, message))
}

fn check_resource(name: &str, kind: &str, strict: bool) -> Result<(), String> {
    let mut previous = '\0';
    for c in name.chars() {
        if c.is_uppercase() {
            return Err(format!("{kind} name does not support uppercase characters"));
        }
        let supported = matches!(c, 'a'..='z' | '0'..='9' | '.' | '-') || (c == '_' && !strict);
        if !supported {
            return Err(format!("{kind} name has an unsupported character : {c}"));
        }
        match (previous, c) {
            ('.', '.') => {
                return Err(format!("{kind} name should not have two contiguous periods"));
            }
            ('-', '.') => return Err(format!("{kind} name should not have period after dash")),
            ('.', '-') => return Err(format!("{kind} name should not have dash after period")),
            _ => previous = c,
        }
    }
    if name.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!("{kind} name cannot be an IPv4 address or all numeric"));
    }
    if kind != "bucket" || strict {
        check_length(name, kind)?;
    }
    if name.starts_with(['.', '-']) {
        return Err(format!("{kind} name cannot start with a period or dash"));
    }
    if name.ends_with(['.', '-']) {
        return Err(format!("{kind} name cannot end with a period or dash"));
    }
    Ok(())
}

fn check_length(name: &str, kind: &str) -> Result<(), String> {
    let length = name.chars().count();
    if LENGTH.contains(&length) {
        return Ok(());
    }
    let (fault, shown) = if length < *LENGTH.start() {
        ("short", name.to_owned())
    } else if length > REPORTED_CHARS_MAX {
        ("long", format!("{}...", name.chars().take(REPORTED_CHARS_MAX).collect::<String>()))
    } else {
        ("long", name.to_owned())
    };
    Err(format!("{kind} name '{shown}' is too {fault}, valid length is 3-63 characters"))
}

/// Refuses names in the folder of snapshots; `verb` is `create` or `delete`.
///
/// # Errors
/// INVALID_KEY_NAME.
pub fn check_not_snapshot(key: &str, verb: &str) -> Result<(), OmError> {
    let Some(rest) = key.strip_prefix(SNAPSHOT_FOLDER) else { return Ok(()) };
    let message = match rest {
        "" => format!("Cannot {verb} key with reserved name: {SNAPSHOT_FOLDER}"),
        rest if rest.starts_with('/') => {
            format!("Cannot {verb} key under path reserved for snapshot: {SNAPSHOT_FOLDER}/")
        }
        _ => return Ok(()),
    };
    Err(OmError::new(Status::InvalidKeyName, message))
}

/// Refuses characters that S3 advises against.
///
/// # Errors
/// INVALID_KEY_NAME.
pub fn check_key_characters(key: &str) -> Result<(), OmError> {
    let bad = |c: char| "\\{}<>^%~#|`[]\"".contains(c) || ('\u{80}'..='\u{ff}').contains(&c);
    if key.contains(bad) {
        return Err(OmError::new(Status::InvalidKeyName, format!("Invalid key name: {key}")));
    }
    Ok(())
}

/// The path without leading, doubled and trailing slashes, and `.`/`..` resolved as Hadoop's `Path`
/// does (`OmUtils.normalizeKey`).
pub fn normalize(key: &str, keep_trailing_slash: bool) -> String {
    if key.trim().is_empty() {
        return key.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in key.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    let mut path = parts.join("/");
    if keep_trailing_slash && key.ends_with('/') {
        path.push('/');
    }
    path
}

/// Normalises a name that is about to be written, and checks its parts.
///
/// # Errors
/// INVALID_KEY_NAME.
pub fn normalize_new(key: &str) -> Result<String, OmError> {
    let path = normalize(key, false);
    if path.is_empty() {
        return Err(OmError::new(Status::InvalidKeyName, "Invalid KeyPath, empty keyName"));
    }
    if path.split('/').any(|part| part == "." || part == ".." || part.contains(':')) {
        return Err(OmError::new(Status::InvalidKeyName, format!("Invalid KeyPath {path}")));
    }
    Ok(path)
}

/// The part after the last slash.
pub fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The part before the last slash, if there is one.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str) -> String {
        check_volume(name, true).unwrap_err().message.unwrap()
    }

    #[test]
    fn names_are_refused_with_the_words_of_the_genuine_om() {
        assert_eq!(volume("v1"), "volume name 'v1' is too short, valid length is 3-63 characters");
        assert_eq!(volume(""), "volume name cannot be an IPv4 address or all numeric");
        assert_eq!(volume("B_X"), "volume name does not support uppercase characters");
        assert_eq!(volume("a_x"), "volume name has an unsupported character : _");
        assert_eq!(volume("1.2.3.4"), "volume name cannot be an IPv4 address or all numeric");
        assert_eq!(volume("-abc"), "volume name cannot start with a period or dash");
        assert_eq!(volume("abc."), "volume name cannot end with a period or dash");
        assert!(volume(&"x".repeat(64)).contains("is too long, valid length is 3-63"));
        assert!(check_volume("vol-1.x", true).is_ok());
        assert!(check_bucket("a_b", false).is_ok());
        assert!(check_bucket("ab", false).is_ok());
    }

    #[test]
    fn paths_lose_superfluous_slashes_only_where_the_layout_asks_for_it() {
        assert_eq!(normalize("/a//b/", false), "a/b");
        assert_eq!(normalize("a/b/", true), "a/b/");
        assert_eq!(normalize_new("a/../b").unwrap(), "b");
        assert!(normalize_new("a/b:c").is_err());
        assert!(normalize_new("///").is_err());
    }

    #[test]
    fn the_snapshot_folder_takes_no_keys() {
        let error = check_not_snapshot(".snapshot/x", "create").unwrap_err();
        assert_eq!(
            error.message.unwrap(),
            "Cannot create key under path reserved for snapshot: .snapshot/"
        );
        assert!(check_not_snapshot(".snapshotx", "create").is_ok());
    }
}
