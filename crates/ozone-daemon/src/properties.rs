//! Java properties text, as `java.util.Properties` stores and loads it.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use crate::durable;

/// The pairs of a properties text. Comments (`#`, `!`) and blank lines are skipped; a text that is
/// not well-formed yields what can be read of it, as in Java.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_in_open_escape(&logical) {
            logical.pop();
            match lines.next() {
                Some(next) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        pairs.insert(unescape(key), unescape(value));
    }
    pairs
}

/// The text of these pairs, in order of keys, without Java's date comment.
pub fn format(pairs: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push_str(&escape(key, true));
        text.push('=');
        text.push_str(&escape(value, false));
        text.push('\n');
    }
    text
}

/// Reads a properties file; `None` where there is none.
///
/// # Errors
/// The file exists but cannot be read.
pub fn read(path: &Path) -> io::Result<Option<BTreeMap<String, String>>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(parse(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a properties file so that after a crash either the old or the new one is there.
///
/// # Errors
/// The directory cannot be made or written.
pub fn write(path: &Path, pairs: &BTreeMap<String, String>) -> io::Result<()> {
    durable::replace(path, format(pairs).as_bytes())
}

fn ends_in_open_escape(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// At the first unescaped `=`, `:` or blank.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' => return (&line[..at], line[at + 1..].trim_start()),
            ' ' | '\t' | '\x0c' => {
                let rest = line[at..].trim_start();
                let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
                return (&line[..at], rest.trim_start());
            }
            _ => {}
        }
    }
    (line, "")
}

/// `\uXXXX` names one unit of UTF-16: a character beyond U+FFFF is two of them, and half a one has no meaning.
fn unescape(text: &str) -> String {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let unit = u16::from_str_radix(&digits, 16);
                    units.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER as u16));
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

fn escape(text: &str, is_key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', c]),
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_file_of_java_is_read() {
        let text = "#Fri Nov 20 10:00:00 UTC 2026\nclusterID=CID-1234\ncTime=1795168800000\n\
                    path=/a\\:b\nlong = one \\\n   two\nnodeType\\ x: OM\nempty=\n";
        let pairs = parse(text);
        assert_eq!(pairs["clusterID"], "CID-1234");
        assert_eq!(pairs["path"], "/a:b");
        assert_eq!(pairs["long"], "one two");
        assert_eq!(pairs["nodeType x"], "OM");
        assert_eq!(pairs["empty"], "");
        assert_eq!(parse("halves=\\uD83D-\\uDE00\\uZZZZ")["halves"], "\u{fffd}-\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("current/VERSION");
        assert_eq!(read(&path).unwrap(), None);
        let pairs: BTreeMap<String, String> =
            [("a key", " lead"), ("b", "tab\tnew\nline"), ("c", "é=:#!\\"), ("\u{5a48f}", "🦀")]
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
        write(&path, &pairs).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), pairs);
    }
}
