//! JSON as the Java tools print it: Jackson's default pretty printer.
//!
//! ```text
//! {
//!   "name" : "k",
//!   "aclList" : [ "READ", "LIST" ],
//!   "acls" : [ {
//!     …
//!   } ]
//! }
//! ```
//! Scripts that read line by line depend on it, so it is kept to the byte.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use serde_json::Value;

/// The text, without a newline at the end.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out
}

/// A time in milliseconds since 1970, as `java.time.Instant` prints it: fractions in groups of
/// three digits, none if zero.
pub fn instant(milliseconds: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap_or_default();
    let digits = if time.nanosecond() == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    time.to_rfc3339_opts(digits, true)
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if map.is_empty() => out.push_str("{ }"),
        Value::Object(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "\n" } else { ",\n" });
                indent(out, depth + 1);
                write_text(out, key);
                out.push_str(" : ");
                write_value(out, value, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push('}');
        }
        Value::Array(items) if items.is_empty() => out.push_str("[ ]"),
        Value::Array(items) => {
            out.push_str("[ ");
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, item, depth);
            }
            out.push_str(" ]");
        }
        Value::String(text) => write_text(out, text),
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if (control as u32) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_looks_as_jackson_writes_it() {
        let value = json!({
            "metadata": {},
            "name": "vol1",
            "acls": [{"aclList": ["READ", "LIST"]}, {"n": -1}],
            "none": [],
            "text": "a\"b\\c\u{1}ü",
        });
        let expected = r#"{
  "metadata" : { },
  "name" : "vol1",
  "acls" : [ {
    "aclList" : [ "READ", "LIST" ]
  }, {
    "n" : -1
  } ],
  "none" : [ ],
  "text" : "a\"b\\c\u0001ü"
}"#;
        assert_eq!(pretty(&value), expected);
    }

    #[test]
    fn times_look_as_java_prints_them() {
        assert_eq!(instant(1_795_247_477_163), "2026-11-21T07:51:17.163Z");
        assert_eq!(instant(1_795_247_477_000), "2026-11-21T07:51:17Z");
    }
}
