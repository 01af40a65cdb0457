//! How numbers, times, permissions and tables look.

use chrono::{DateTime, Local, Utc};

/// A size, in powers of 1024 with one digit behind the point if asked.
pub fn size(bytes: u64, human: bool) -> String {
    if human { human_size(bytes) } else { bytes.to_string() }
}

fn human_size(bytes: u64) -> String {
    const PREFIXES: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut power = (bytes.ilog2() / 10) as usize;
    let shift = 10 * power;
    if bytes.trailing_zeros() as usize >= shift {
        return format!("{} {}", bytes >> shift, PREFIXES[power - 1]);
    }
    let tenths_at = |power: usize| {
        let value = 1_u128 << (10 * power);
        (u128::from(bytes) * 20 + value) / (2 * value)
    };
    let mut tenths = tenths_at(power);
    if tenths >= 10_240 && power < PREFIXES.len() {
        power += 1;
        tenths = tenths_at(power);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, PREFIXES[power - 1])
}

/// `rwxr-xr-t`.
pub fn mode(mode: u16) -> String {
    let mut text = String::with_capacity(9);
    for shift in [6, 3, 0] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(if bits & 1 != 0 { 'x' } else { '-' });
    }
    if mode & 0o1000 != 0 {
        let last = text.pop();
        text.push(if last == Some('x') { 't' } else { 'T' });
    }
    text
}

/// A time of this place, to the minute.
pub fn local_minute(milliseconds: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap_or_default();
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string()
}

/// A time of Greenwich, to the second.
pub fn utc_second(milliseconds: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Rows whose columns are as wide as their widest cell.
#[derive(Default)]
pub struct Table {
    header: Option<Vec<String>>,
    rows: Vec<Vec<String>>,
    right: &'static [usize],
}

impl Table {
    /// A table; the columns in `right` are aligned right.
    pub fn new(header: Option<&[&str]>, right: &'static [usize]) -> Self {
        let header = header.map(|cells| cells.iter().map(|&cell| cell.to_owned()).collect());
        Self { header, rows: Vec::new(), right }
    }

    /// One more row.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The lines; none if there is no row.
    pub fn lines(&self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let all: Vec<&Vec<String>> = self.header.iter().chain(&self.rows).collect();
        let columns = all.iter().map(|row| row.len()).max().unwrap_or(0);
        let width = |column: usize| {
            all.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let line = |row: &&Vec<String>| {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = widths[column];
                if self.right.contains(&column) {
                    format!("{cell:>width$}")
                } else if column + 1 == columns {
                    cell.clone()
                } else {
                    format!("{cell:<width$}")
                }
            });
            cells.collect::<Vec<_>>().join("  ")
        };
        all.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_look_as_hadoop_prints_them() {
        let cases = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1 K"),
            (1536, "1.5 K"),
            (1280, "1.3 K"),
            (31_457_280, "30 M"),
            (31_457_281, "30.0 M"),
            (1_048_575, "1.0 M"),
            (1 << 40, "1 T"),
            (i64::MAX as u64, "8.0 E"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes, true), text);
        }
        assert_eq!(size(1536, false), "1536");
    }

    #[test]
    fn permissions_are_letters() {
        assert_eq!(mode(0o755), "rwxr-xr-x");
        assert_eq!(mode(0o1777), "rwxrwxrwt");
        assert_eq!(mode(0o1666), "rw-rw-rwT");
    }

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let mut table = Table::new(Some(&["A", "B", "C"]), &[1]);
        assert!(table.lines().is_empty());
        table.push(["x", "100", "end"].map(str::to_owned).to_vec());
        assert_eq!(table.lines(), ["A    B  C", "x  100  end"]);
    }
}
