//! Records as Prometheus' text format 0.0.4.

use std::fmt::Write as _;

use crate::record::{Kind, Records};

/// The page of `/prom`.
pub fn text(records: Records) -> String {
    let mut page = String::with_capacity(64 << 10);
    let mut previous = String::new();
    for sample in records.sorted() {
        if sample.name != previous {
            let kind = match sample.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Summary => "summary",
            };
            let _ = writeln!(page, "# TYPE {} {kind}", sample.name);
            previous.clone_from(&sample.name);
        }
        page.push_str(&sample.name);
        page.push_str(sample.suffix);
        if !sample.labels.is_empty() {
            page.push('{');
            for (n, (key, value)) in sample.labels.iter().enumerate() {
                let comma = if n == 0 { "" } else { "," };
                let _ = write!(page, "{comma}{key}=\"");
                escape(&mut page, value);
                page.push('"');
            }
            page.push('}');
        }
        let _ = writeln!(page, " {}", sample.value);
    }
    page
}

fn escape(page: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_type_is_told_once() {
        let mut records = Records::new("s", "h");
        records.record("b").tag("volumeName", "a\"b\\c\nd").gauge("x", 1_u64);
        records.record("a").gauge("x", 0.5);
        records.record("b").gauge("x", 2_u64);
        assert_eq!(
            text(records),
            "# TYPE ax gauge\nax{hostname=\"h\"} 0.5\n# TYPE bx gauge\n\
             bx{volumename=\"a\\\"b\\\\c\\nd\",hostname=\"h\"} 1\nbx{hostname=\"h\"} 2\n"
        );
    }
}
