//! `-rm`, `-rmdir`, `-expunge`.

use std::io::{self, Write};

use super::options::{Format, MANY};
use super::path::FsPath;
use super::shell::{Item, Shell};
use super::trash;
use super::trouble::Trouble;
use super::walk::{self, Command, Outcome};

/// `-rm`, and `-rmr` which is `-rm -r`.
#[derive(Default)]
pub struct Remove {
    deprecated: bool,
    recursive: bool,
    ignore_missing: bool,
    skip_trash: bool,
    safely: bool,
    trailing: bool,
}

impl Remove {
    /// `-rmr`.
    pub fn recursive() -> Self {
        Self { deprecated: true, ..Self::default() }
    }

    /// Asks before many files are deleted at once.
    fn confirmed(&self, shell: &mut Shell, item: &Item) -> Result<bool, Trouble> {
        /// Files that are deleted without a question.
        const FILES_MAX: u64 = 100;
        if !self.safely {
            return Ok(true);
        }
        let limit = shell.conf.integer("hadoop.shell.safely.delete.limit.num.files", FILES_MAX)?;
        let files = item.system.summary(&item.path)?.files;
        if limit == 0 || files <= limit {
            return Ok(true);
        }
        shell.out.flush()?;
        let mut answer = String::new();
        loop {
            eprint!("Proceed deleting {files} files? (Y or N) ");
            answer.clear();
            if io::stdin().read_line(&mut answer)? == 0 {
                break;
            }
            match answer.trim() {
                "Y" | "y" | "Yes" | "yes" | "YES" => return Ok(true),
                "N" | "n" | "No" | "no" | "NO" => break,
                _ => eprintln!("Invalid input: {}", answer.trim()),
            }
        }
        eprintln!("Delete aborted at user request.\n");
        Ok(false)
    }
}

impl Command for Remove {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given =
            Format::new(1, MANY, &["f", "r", "R", "skipTrash", "safely"]).parse(arguments)?;
        self.ignore_missing = given.has("f");
        self.recursive = self.deprecated || given.has("r") || given.has("R");
        self.skip_trash = given.has("skipTrash");
        self.safely = given.has("safely");
        Ok(())
    }

    fn expand(&mut self, shell: &mut Shell, argument: &str) -> Result<Vec<Item>, Trouble> {
        self.trailing |= argument.ends_with('/');
        match walk::expand(shell, argument) {
            Err(Trouble::NotFound(_)) if self.ignore_missing => Ok(Vec::new()),
            other => other,
        }
    }

    fn missing(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if self.ignore_missing { Ok(()) } else { Err(Trouble::missing(&item.text)) }
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        let link = item.is_directory() && item.system.is_link(&item.path)?;
        if item.is_directory() && !self.recursive && !link {
            return Err(Trouble::is_directory(&item.text));
        }
        if !self.skip_trash {
            match trash::take(item) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(Trouble::Message(text) | Trouble::AlreadyExists(text)) => {
                    return Err(Trouble::Message(format!(
                        "{text}. Consider using -skipTrash option"
                    )));
                }
                Err(other) => return Err(other),
            }
        }
        if !self.confirmed(shell, item)? {
            return Ok(());
        }
        // As with a link of POSIX, a slash behind it means what it leads to.
        let deleted = if link && self.trailing {
            item.system.delete_entries(&item.path)?
        } else {
            item.system.delete(&item.path, self.recursive)?
        };
        if !deleted {
            // Who looks for a trash sees first that the file has gone.
            if !self.skip_trash && !item.system.exists(&item.path)? {
                let name = item.path.name();
                return Err(Trouble::NotFound(format!("{name}: No such file or directory!")));
            }
            return Err(Trouble::failed(&item.text));
        }
        let slash = if self.trailing { "/" } else { "" };
        shell.line(&format!("Deleted {}{slash}", item.text))
    }

    fn replacement(&self) -> Option<&'static str> {
        self.deprecated.then_some("-rm -r")
    }
}

/// `-rmdir`.
#[derive(Default)]
pub struct RemoveDirectory {
    ignore_full: bool,
}

impl Command for RemoveDirectory {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(1, MANY, &["-ignore-fail-on-non-empty"]).parse(arguments)?;
        self.ignore_full = given.has("-ignore-fail-on-non-empty");
        Ok(())
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if !item.is_directory() {
            return Err(Trouble::is_not_directory(&item.text));
        }
        if !item.system.list(&item.path)?.is_empty() {
            let told = Err(Trouble::path(&item.text, "Directory is not empty"));
            return if self.ignore_full { Ok(()) } else { told };
        }
        if !item.system.delete(&item.path, false)? {
            return Err(Trouble::failed(&item.text));
        }
        Ok(())
    }
}

/// `-expunge`.
#[derive(Default)]
pub struct Expunge {
    immediately: bool,
    system: Option<String>,
}

impl Command for Expunge {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(0, 2, &["immediate"]).with_values(&["fs"]).parse(arguments)?;
        self.immediately = given.has("immediate");
        self.system = given.value("fs").filter(|uri| !uri.is_empty()).map(str::to_owned);
        Ok(())
    }

    fn arguments(&mut self, shell: &mut Shell, _items: Vec<Item>) -> Outcome {
        let uri = match &self.system {
            Some(uri) => uri.clone(),
            None => shell.conf.string("fs.defaultFS", "file:///")?,
        };
        let system = shell.system(&FsPath::parse(&uri))?;
        if self.immediately {
            trash::checkpoint(&system)?;
            return trash::delete_checkpoints(&system, true);
        }
        trash::delete_checkpoints(&system, false)?;
        trash::checkpoint(&system)
    }

    fn path(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Ok(())
    }
}
