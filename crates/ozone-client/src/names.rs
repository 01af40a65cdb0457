//! Names of volumes and buckets, checked before anything is sent (`HddsClientUtils`).

use om_proto::Status;

use crate::OmError;

const NAME_CHARS_MIN: usize = 3;
const NAME_CHARS_MAX: usize = 63;
/// Characters of a name that is too long which an error repeats.
const NAME_CHARS_REPORTED_MAX: usize = 256;

/// Refuses a volume name that the Ozone Manager would refuse too.
///
/// # Errors
/// `INVALID_VOLUME_NAME`.
pub fn check_volume(name: &str) -> Result<(), OmError> {
    check(name, "volume", true).map_err(|text| OmError::new(Status::InvalidVolumeName, text))
}

/// Refuses a bucket name that the Ozone Manager would refuse in every layout.
///
/// # Errors
/// `INVALID_BUCKET_NAME`.
pub fn check_bucket(name: &str) -> Result<(), OmError> {
    check(name, "bucket", false).map_err(|text| OmError::new(Status::InvalidBucketName, text))
}

fn check(name: &str, kind: &str, limit_length: bool) -> Result<(), String> {
    let mut before = '\0';
    let mut numeric = true;
    for char in name.chars() {
        numeric &= char == '.' || char.is_ascii_digit();
        check_char(char, before, kind)?;
        before = char;
    }
    if numeric {
        return Err(format!("{kind} name cannot be an IPv4 address or all numeric"));
    }
    let range = format!("valid length is {NAME_CHARS_MIN}-{NAME_CHARS_MAX} characters");
    let length = name.chars().count();
    if limit_length && length < NAME_CHARS_MIN {
        return Err(format!("{kind} name '{name}' is too short, {range}"));
    }
    if limit_length && length > NAME_CHARS_MAX {
        let (shown, more) = match name.char_indices().nth(NAME_CHARS_REPORTED_MAX) {
            Some((end, _)) => (&name[..end], "..."),
            None => (name, ""),
        };
        return Err(format!("{kind} name '{shown}{more}' is too long, {range}"));
    }
    if name.starts_with(['.', '-']) {
        return Err(format!("{kind} name cannot start with a period or dash"));
    }
    if name.ends_with(['.', '-']) {
        return Err(format!("{kind} name cannot end with a period or dash"));
    }
    Ok(())
}

fn check_char(char: char, before: char, kind: &str) -> Result<(), String> {
    if char.is_uppercase() {
        return Err(format!("{kind} name does not support uppercase characters"));
    }
    if !matches!(char, 'a'..='z' | '0'..='9' | '-' | '.' | '_') {
        return Err(format!("{kind} name has an unsupported character : {char}"));
    }
    match (before, char) {
        ('.', '.') => Err(format!("{kind} name should not have two contiguous periods")),
        ('-', '.') => Err(format!("{kind} name should not have period after dash")),
        ('.', '-') => Err(format!("{kind} name should not have dash after period")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_the_words_of_the_genuine_client() {
        let cases = [
            ("VOL", "volume name does not support uppercase characters"),
            ("v1", "volume name 'v1' is too short, valid length is 3-63 characters"),
            ("127.0.0.1", "volume name cannot be an IPv4 address or all numeric"),
            ("", "volume name cannot be an IPv4 address or all numeric"),
            ("two..dots", "volume name should not have two contiguous periods"),
            ("dash-", "volume name cannot end with a period or dash"),
            ("a b", "volume name has an unsupported character :  "),
        ];
        for (name, message) in cases {
            assert_eq!(check_volume(name), Err(OmError::new(Status::InvalidVolumeName, message)));
        }
        assert_eq!(check_volume("vol-1.x_y"), Ok(()));
        assert_eq!(check_bucket("b1"), Ok(()));
    }
}
