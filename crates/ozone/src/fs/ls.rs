//! `-ls`.

use std::cmp::Ordering;

use ozone_client::fs::FileStatus;

use super::options::{Format, MANY};
use super::shell::{Item, Shell};
use super::text;
use super::trouble::Trouble;
use super::walk::{self, Command, Outcome};

/// Lines whose columns are made equally wide at once.
const GROUP: usize = 100;

/// `-ls`, and `-lsr` which is `-ls -R`.
#[derive(Default)]
pub struct Ls {
    deprecated: bool,
    path_only: bool,
    plain_directories: bool,
    human: bool,
    hide: bool,
    recursive: bool,
    reverse: bool,
    by_time: bool,
    by_size: bool,
    access_time: bool,
    ec_policy: bool,
    widths: Widths,
}

/// The least that columns need; they only grow.
struct Widths {
    replication: usize,
    owner: usize,
    group: usize,
    length: usize,
}

impl Default for Widths {
    fn default() -> Self {
        Self { replication: 3, owner: 0, group: 0, length: 10 }
    }
}

impl Ls {
    /// `-lsr`.
    pub fn recursive() -> Self {
        Self { deprecated: true, ..Self::default() }
    }

    fn time(&self, status: &FileStatus) -> i64 {
        if self.access_time { status.access_time } else { status.modification_time }
    }

    fn compare(&self, a: &Item, b: &Item) -> Ordering {
        let order = match (&a.status, &b.status) {
            (Some(a), Some(b)) if self.by_time => self.time(b).cmp(&self.time(a)),
            (Some(a), Some(b)) if self.by_size => b.length.cmp(&a.length),
            _ => a.path.cmp(&b.path),
        };
        if self.reverse { order.reverse() } else { order }
    }

    fn widen(&mut self, items: &[Item]) {
        for status in items.iter().filter_map(|item| item.status.as_ref()) {
            let widths = &mut self.widths;
            widths.replication = widths.replication.max(status.replication.to_string().len());
            widths.owner = widths.owner.max(status.owner.chars().count());
            widths.group = widths.group.max(status.group.chars().count());
            widths.length = widths.length.max(status.length.to_string().len());
        }
    }

    fn row(&self, item: &Item, status: &FileStatus) -> String {
        let widths = &self.widths;
        let kind = if status.is_directory { 'd' } else { '-' };
        let replication =
            if status.is_directory { "-".to_owned() } else { status.replication.to_string() };
        let name = |name: &str, width: usize| {
            if width > 0 { format!("{name:<width$} ") } else { name.to_owned() }
        };
        format!(
            "{kind}{} {replication:>r$} {}{}{:>l$} {} {}",
            text::mode(status.mode),
            name(&status.owner, widths.owner),
            name(&status.group, widths.group),
            text::size(status.length, self.human),
            text::local_minute(self.time(status)),
            self.shown(item),
            r = widths.replication,
            l = widths.length,
        )
    }

    fn shown(&self, item: &Item) -> String {
        if !self.hide {
            return item.text.clone();
        }
        item.text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
    }
}

impl Command for Ls {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let format = Format::new(0, MANY, &["C", "d", "h", "q", "R", "r", "t", "S", "u", "e"]);
        let given = format.parse(arguments)?;
        self.path_only = given.has("C");
        self.plain_directories = given.has("d");
        self.human = given.has("h");
        self.hide = given.has("q");
        self.recursive = (given.has("R") || self.deprecated) && !self.plain_directories;
        self.reverse = given.has("r");
        self.by_time = given.has("t");
        self.by_size = !self.by_time && given.has("S");
        self.access_time = given.has("u");
        self.ec_policy = given.has("e");
        if arguments.is_empty() {
            arguments.push(".".to_owned());
        }
        Ok(())
    }

    fn path_argument(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if self.ec_policy {
            let uri = item.system.uri();
            return Err(Trouble::Fatal(format!(
                "FileSystem {uri} does not support Erasure Coding"
            )));
        }
        if !self.plain_directories && item.is_directory() {
            return self.recurse(shell, item);
        }
        walk::path_argument(self, shell, item)
    }

    fn paths(&mut self, shell: &mut Shell, parent: Option<&Item>, mut items: Vec<Item>) -> Outcome {
        if parent.is_some() && !self.recursive && !items.is_empty() {
            if !self.path_only {
                shell.line(&format!("Found {} items", items.len()))?;
            }
            items.sort_by(|a, b| self.compare(a, b));
        }
        if !self.path_only {
            self.widen(&items);
        }
        walk::each(self, shell, &items)
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if self.path_only {
            return shell.line(&item.text);
        }
        let Some(status) = &item.status else { return Err(Trouble::missing(&item.text)) };
        shell.line(&self.row(item, status))
    }

    fn is_recursive(&self) -> bool {
        self.recursive
    }

    fn is_sorted(&self) -> bool {
        !self.recursive || self.by_time || self.by_size || self.reverse
    }

    fn group(&self) -> usize {
        if self.path_only { 1 } else { GROUP }
    }

    fn replacement(&self) -> Option<&'static str> {
        self.deprecated.then_some("ls -R")
    }
}
