//! `-getmerge`, and commands that do nothing yet.

use bytes::Bytes;

use super::copy::pour;
use super::options::{Format, MANY};
use super::shell::{Item, Shell};
use super::trouble::Trouble;
use super::walk::{self, Command, Outcome};

/// `-getmerge`: files, and those of directories, one after the other into a local file.
#[derive(Default)]
pub struct Merge {
    newline: bool,
    skip_empty: bool,
    target: Option<Item>,
    sources: Vec<Item>,
    missing: bool,
}

impl Command for Merge {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(2, MANY, &["nl", "skip-empty-file"]).parse(arguments)?;
        self.newline = given.has("nl");
        self.skip_empty = given.has("skip-empty-file");
        let target = shell.local_item(&arguments.pop().unwrap_or_default())?;
        if target.is_directory() {
            return Err(Trouble::is_directory(&target.text));
        }
        self.target = Some(target);
        Ok(())
    }

    fn arguments(&mut self, shell: &mut Shell, items: Vec<Item>) -> Outcome {
        walk::arguments(self, shell, items)?;
        let Some(target) = self.target.as_ref().filter(|_| !self.missing) else { return Ok(()) };
        let mut writer = target.system.create(&target.path, 0, true)?;
        for source in &self.sources {
            if source.length() > 0 {
                let mut reader = source.system.read(&source.path, 0, u64::MAX)?;
                pour(&mut reader, &mut writer, "getmerge")?;
            }
            if self.newline && (source.length() > 0 || !self.skip_empty) {
                writer.write(Bytes::from_static(b"\n"))?;
            }
        }
        writer.close()
    }

    fn missing(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        self.missing = true;
        Err(Trouble::missing(&item.text))
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if !item.is_directory() {
            self.sources.push(item.clone());
            return Ok(());
        }
        // Directories within directories are left out.
        if shell.depth == 0 { walk::recurse(self, shell, item) } else { Ok(()) }
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

/// A command about snapshots of buckets, which are not there yet.
pub struct Snapshot {
    least: usize,
    most: usize,
}

impl Snapshot {
    /// A command that takes so many arguments.
    pub const fn new(least: usize, most: usize) -> Self {
        Self { least, most }
    }
}

impl Command for Snapshot {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let told = |text: &str| Err(Trouble::Illegal(text.to_owned()));
        match (arguments.len(), self.least) {
            (0, 1) => told("<snapshotDir> is missing."),
            (count, 1) if count > self.most => told("Too many arguments."),
            (count, least) if !(least..=self.most).contains(&count) => {
                told("Incorrect number of arguments.")
            }
            _ => Err(Trouble::Message("snapshots are not supported yet".to_owned())),
        }
    }

    fn path(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Ok(())
    }
}

/// `-moveToLocal`, which Hadoop never had either.
pub struct MoveToLocal;

impl Command for MoveToLocal {
    fn options(&mut self, _shell: &mut Shell, _arguments: &mut Vec<String>) -> Outcome {
        Err(Trouble::Message("Option '-moveToLocal' is not implemented yet.".to_owned()))
    }

    fn path(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Ok(())
    }
}
