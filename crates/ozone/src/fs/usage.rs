//! How much there is: `-du`, `-df`, `-count`.

use super::options::{Format, MANY};
use super::shell::{Item, Shell};
use super::text::{self, Table};
use super::trouble::Trouble;
use super::walk::{self, Command, Outcome};

/// What Hadoop shows for a file system that does not tell its size.
const ENDLESS: u64 = i64::MAX as u64;

/// `-du`, and `-dus` which is `-du -s`.
#[derive(Default)]
pub struct Du {
    deprecated: bool,
    summary: bool,
    human: bool,
    table: Table,
}

impl Du {
    /// `-dus`.
    pub fn summary() -> Self {
        Self { deprecated: true, ..Self::default() }
    }
}

impl Command for Du {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(0, MANY, &["h", "s", "v", "x"]).parse(arguments)?;
        self.summary = self.deprecated || given.has("s");
        self.human = given.has("h");
        let header = ["SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME"];
        self.table = Table::new(given.has("v").then_some(&header), &[]);
        if arguments.is_empty() {
            arguments.push(".".to_owned());
        }
        Ok(())
    }

    fn arguments(&mut self, shell: &mut Shell, items: Vec<Item>) -> Outcome {
        walk::arguments(self, shell, items)?;
        self.table.lines().iter().try_for_each(|line| shell.line(line))
    }

    fn path_argument(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if !self.summary && item.is_directory() {
            return self.recurse(shell, item);
        }
        walk::path_argument(self, shell, item)
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        let sum = match &item.status {
            // A listing has told all about a file.
            Some(status) if !status.is_directory => (status.length, status.disk_consumed),
            _ => {
                let sum = item.system.summary(&item.path)?;
                (sum.length, sum.disk_consumed)
            }
        };
        let (length, consumed) = (text::size(sum.0, self.human), text::size(sum.1, self.human));
        self.table.push(vec![length, consumed, item.text.clone()]);
        Ok(())
    }

    fn replacement(&self) -> Option<&'static str> {
        self.deprecated.then_some("du -s")
    }
}

/// `-df`.
#[derive(Default)]
pub struct Df {
    human: bool,
    table: Table,
}

impl Command for Df {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        self.human = Format::new(0, MANY, &["h"]).parse(arguments)?.has("h");
        let header = ["Filesystem", "Size", "Used", "Available", "Use%"];
        self.table = Table::new(Some(&header), &[1, 2, 3, 4]);
        if arguments.is_empty() {
            arguments.push("/".to_owned());
        }
        Ok(())
    }

    fn arguments(&mut self, shell: &mut Shell, items: Vec<Item>) -> Outcome {
        walk::arguments(self, shell, items)?;
        self.table.lines().iter().try_for_each(|line| shell.line(line))
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        let (size, used, free) =
            if item.system.is_local() { disk(&item.path.path)? } else { (ENDLESS, 0, ENDLESS) };
        let percent = (u128::from(used) * 100 + u128::from(size) / 2) / u128::from(size.max(1));
        let mut row = vec![item.system.uri()];
        row.extend([size, used, free].map(|bytes| text::size(bytes, self.human)));
        row.push(format!("{percent}%"));
        self.table.push(row);
        Ok(())
    }
}

/// Bytes in all, used and free of the disk that holds a path.
fn disk(path: &str) -> std::io::Result<(u64, u64, u64)> {
    let name = std::ffi::CString::new(path)?;
    // SAFETY: all-zero is a valid `statvfs`: plain integers.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: name is terminated, and both pointers live through the call.
    if unsafe { libc::statvfs(name.as_ptr(), &raw mut found) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let size = found.f_blocks * found.f_frsize;
    let used = size.saturating_sub(found.f_bfree * found.f_frsize);
    Ok((size, used, found.f_bavail * found.f_frsize))
}

/// `-count`.
#[derive(Default)]
pub struct Count {
    quota: bool,
    only_quota: bool,
    human: bool,
    snapshot: bool,
    coding: bool,
    types: Vec<String>,
}

/// Kinds of storage that can have a quota.
const STORAGE_TYPES: [&str; 5] = ["SSD", "DISK", "ARCHIVE", "PROVIDED", "NVDIMM"];
/// One that has none, and may be named.
const MEMORY: &str = "RAM_DISK";

impl Count {
    fn header(&self) -> String {
        let mut line = String::new();
        let quota = format!(
            "{:>12} {:>15} {:>15} {:>15} ",
            "QUOTA", "REM_QUOTA", "SPACE_QUOTA", "REM_SPACE_QUOTA"
        );
        let summary = format!("{:>12} {:>12} {:>18} ", "DIR_COUNT", "FILE_COUNT", "CONTENT_SIZE");
        if self.types.is_empty() {
            if self.quota || self.only_quota {
                line += &quota;
            }
            if !self.only_quota {
                line += &summary;
            }
        }
        for kind in &self.types {
            let (quota, rest) = (format!("{kind}_QUOTA"), format!("REM_{kind}_QUOTA"));
            line += &format!("{quota:>14} {rest:>18} ");
        }
        if self.snapshot {
            line += &format!(
                "{:>18} {:>24} {:>24} {:>28} ",
                "SNAPSHOT_LENGTH",
                "SNAPSHOT_FILE_COUNT",
                "SNAPSHOT_DIR_COUNT",
                "SNAPSHOT_SPACE_CONSUMED"
            );
        }
        if self.coding {
            line += "ERASURECODING_POLICY ";
        }
        line + "PATHNAME"
    }
}

impl Command for Count {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let format = Format::new(1, MANY, &["q", "h", "v", "u", "x", "e", "s"]);
        let given = format.with_values(&["t"]).parse(arguments)?;
        self.quota = given.has("q");
        self.human = given.has("h");
        self.only_quota = given.has("u");
        self.snapshot = given.has("s");
        self.coding = given.has("e");
        if self.quota || self.only_quota {
            if let Some(types) = given.value("t") {
                self.types = storage_types(types)?;
            }
            if given.has("x") {
                shell.line("q or u option is given, the -x option is ignored.")?;
            }
        }
        if given.has("v") {
            let header = self.header();
            shell.line(&header)?;
        }
        Ok(())
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        let sum = item.system.summary(&item.path)?;
        if self.coding {
            let text = "erasure coding policies are not told by this file system";
            return Err(Trouble::Fatal(text.to_owned()));
        }
        let mut line = String::new();
        if self.types.is_empty() {
            // Quotas of volumes and buckets are not those of a file system.
            if self.quota || self.only_quota {
                line += &format!("{:>12} {:>15} {:>15} {:>15} ", "none", "inf", "none", "inf");
            }
            if !self.only_quota {
                let size = |count| text::size(count, self.human);
                line += &format!(
                    "{:>12} {:>12} {:>18} ",
                    size(sum.directories),
                    size(sum.files),
                    size(sum.length)
                );
            }
        }
        for _ in &self.types {
            line += &format!("{:>14} {:>18} ", "none", "inf");
        }
        if self.snapshot {
            line += &format!("{:>18} {:>24} {:>24} {:>28} ", 0, 0, 0, 0);
        }
        shell.line(&format!("{line}{}", item.text))
    }
}

fn storage_types(text: &str) -> Result<Vec<String>, Trouble> {
    if text.is_empty() || text.eq_ignore_ascii_case("all") {
        return Ok(STORAGE_TYPES.map(str::to_owned).to_vec());
    }
    let mut types = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let name = word.trim().to_uppercase();
        if name != MEMORY && !STORAGE_TYPES.contains(&&name[..]) {
            return Err(Trouble::Illegal(format!(
                "No enum constant org.apache.hadoop.fs.StorageType.{name}"
            )));
        }
        types.push(name);
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_count_is_as_wide_as_its_columns() {
        let count = Count::default();
        assert_eq!(count.header(), "   DIR_COUNT   FILE_COUNT       CONTENT_SIZE PATHNAME");
        let quota = Count { quota: true, ..Count::default() };
        assert!(quota.header().starts_with("       QUOTA       REM_QUOTA"));
        assert!(storage_types("ssd,bogus").is_err());
    }
}
