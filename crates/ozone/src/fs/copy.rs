//! Commands with a destination: `-put`, `-get`, `-cp`, `-mv`, `-moveFromLocal`.
//!
//! A copied file is written beside its name (`NAME._COPYING_`) and then renamed, so that nobody sees
//! half of it, unless `-d` says that it is not needed.

use super::options::{Format, Given, MANY};
use super::shell::{Item, Shell};
use super::system::{Reader, Writer};
use super::trouble::Trouble;
use super::walk::{self, Command, Outcome};
use crate::progress::Progress;

/// What a file is called while it is copied.
const COPYING: &str = "._COPYING_";

/// Which of the commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// From this machine.
    Put,
    /// From this machine, deleting what was copied.
    MoveFromLocal,
    /// To this machine.
    Get,
    /// Within or between file systems.
    Copy,
    /// Within a file system, by renaming.
    Move,
}

/// One of the commands.
pub struct Transfer {
    verb: Verb,
    target: Option<Item>,
    overwrite: bool,
    direct: bool,
    write_crc: bool,
    keep_times: bool,
    keep_mode: bool,
    keep_attributes: bool,
    single: bool,
}

impl Transfer {
    /// A command that has not read its options.
    pub fn new(verb: Verb) -> Self {
        Self {
            verb,
            target: None,
            overwrite: false,
            direct: false,
            write_crc: false,
            keep_times: false,
            keep_mode: false,
            keep_attributes: false,
            single: false,
        }
    }

    fn keep_all(&mut self) {
        self.keep_times = true;
        self.keep_mode = true;
    }

    /// `-p`, or `-p` with letters for what to keep.
    fn take_preserve(&mut self, arguments: &mut Vec<String>) -> Outcome {
        let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
        let Some(at) = arguments[..end].iter().position(|word| word.starts_with("-p")) else {
            return Ok(());
        };
        let word = arguments.remove(at);
        if word.len() == 2 {
            self.keep_all();
        }
        for letter in word.chars().skip(2) {
            match letter.to_ascii_uppercase() {
                'T' => self.keep_times = true,
                'P' | 'A' => self.keep_mode = true,
                'X' => self.keep_attributes = true,
                // Ozone has no owners to set through a file system.
                'O' => {}
                _ => return Err(Trouble::Fatal(format!("No attribute for {letter}"))),
            }
        }
        Ok(())
    }

    fn remote_target(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let text = match arguments.len() {
            0 | 1 => ".".to_owned(),
            _ => arguments.pop().unwrap_or_default(),
        };
        let mut items = shell.glob(&text)?;
        self.target = Some(match (items.pop(), items.is_empty()) {
            (None, _) => return Err(Trouble::missing(&text)),
            (Some(only), true) => only,
            (Some(_), false) => return Err(Trouble::path(&text, "Too many matches")),
        });
        Ok(())
    }

    fn local_target(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let text = match arguments.len() {
            0 | 1 => ".".to_owned(),
            _ => arguments.pop().unwrap_or_default(),
        };
        self.target = Some(shell.local_item(&text)?);
        Ok(())
    }

    fn target(&self) -> Result<&Item, Trouble> {
        self.target.as_ref().ok_or_else(|| Trouble::Fatal("there is no destination".to_owned()))
    }

    /// Where this source goes: into a directory, or to the destination itself.
    fn target_of(&self, shell: &Shell, source: &Item) -> Result<Item, Trouble> {
        let target = self.target()?;
        let inside = shell.depth > 0
            || target.is_directory()
            || (target.looks_like_directory() && !target.exists());
        if !inside {
            return Ok(target.clone());
        }
        if !target.exists() {
            return Err(Trouble::missing(&target.text));
        }
        if !target.is_directory() {
            return Err(Trouble::is_not_directory(&target.text));
        }
        target.child(source.path.name())
    }

    fn copy_file(&self, source: &Item, target: &Item) -> Outcome {
        if target.is_directory() || (target.exists() && !self.overwrite) {
            return Err(Trouble::exists(&target.text));
        }
        let reader = source.system.read(&source.path, 0, u64::MAX)?;
        self.write(reader, source.length(), target)?;
        if self.write_crc && target.system.is_local() {
            super::crc::write_beside(&target.path.path)?;
        }
        self.preserve(source, target)
    }

    /// Writes all of `reader` to `target`.
    fn write(&self, mut reader: Reader, size: u64, target: &Item) -> Outcome {
        let aside = if self.direct { target.clone() } else { target.with_suffix(COPYING) };
        let verb = if self.verb == Verb::Get { "get" } else { "put" };
        let written = (|| {
            let mut writer = if self.single {
                target.system.create_single(&aside.path, size)?
            } else {
                target.system.create(&aside.path, size, true)?
            };
            pour(&mut reader, &mut writer, verb)?;
            writer.close()?;
            if self.direct {
                return Ok(());
            }
            if target.exists() && !target.system.delete(&target.path, false)? {
                return Err(Trouble::failed_to("delete", &target.text, None));
            }
            if !target.system.rename(&aside.path, &target.path)? {
                return Err(Trouble::failed_to("rename", &aside.text, Some(&target.text)));
            }
            Ok(())
        })();
        if written.is_err() && !self.direct {
            // The trouble is told; what is left of the copy is of no use.
            let _ = target.system.delete(&aside.path, false);
        }
        written
    }

    fn preserve(&self, source: &Item, target: &Item) -> Outcome {
        let Some(status) = &source.status else { return Ok(()) };
        if self.keep_times {
            let (modified, accessed) = (status.modification_time, status.access_time);
            target.system.set_times(&target.path, modified, accessed)?;
        }
        if self.keep_mode {
            target.system.set_mode(&target.path, status.mode)?;
        }
        if self.keep_attributes && !source.system.is_local() {
            let text = "Ozone's file systems do not support extended attributes";
            return Err(Trouble::Fatal(text.to_owned()));
        }
        Ok(())
    }

    fn move_to(&self, source: &Item, target: &Item) -> Outcome {
        if source.system.root.scheme != target.system.root.scheme || host(source) != host(target) {
            return Err(Trouble::path(&source.text, "Does not match target filesystem"));
        }
        if target.exists() {
            return Err(Trouble::exists(&target.text));
        }
        if !target.system.rename(&source.path, &target.path)? {
            return Err(Trouble::failed(&source.text));
        }
        Ok(())
    }
}

fn host(item: &Item) -> Option<&str> {
    let authority = item.system.root.authority.as_deref()?;
    authority.split(':').next()
}

/// All of one into the other.
pub fn pour(reader: &mut Reader, writer: &mut Writer, verb: &'static str) -> Outcome {
    let progress = Progress::new(reader.length(), verb);
    while let Some(piece) = reader.next()? {
        let length = piece.len() as u64;
        writer.write(piece)?;
        progress.add(length);
    }
    Ok(())
}

/// The numbers behind `-t` and `-q` have to be numbers, whatever they are.
fn check_threads(given: &Given) -> Outcome {
    for text in ["t", "q"].into_iter().filter_map(|option| given.value(option)) {
        if !text.is_empty() && text.parse::<i32>().is_err() {
            return Err(Trouble::Illegal(format!("For input string: \"{text}\"")));
        }
    }
    Ok(())
}

impl Command for Transfer {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        // Threads are accepted; one client fills the network with one file at a time.
        let values: &'static [&'static str] = &["t", "q"];
        match self.verb {
            Verb::Put | Verb::MoveFromLocal => {
                if self.verb == Verb::MoveFromLocal && arguments.iter().any(|word| word == "-t") {
                    return Err(Trouble::Illegal("Illegal option -t".to_owned()));
                }
                let format = Format::new(1, MANY, &["f", "p", "l", "d"]).with_values(values);
                let given = format.parse(arguments)?;
                check_threads(&given)?;
                self.overwrite = given.has("f");
                self.direct = given.has("d");
                // What may be written to disk later is kept once.
                self.single = given.has("l");
                if given.has("p") {
                    self.keep_all();
                }
                self.remote_target(shell, arguments)
            }
            Verb::Get => {
                let flags: &'static [&'static str] = &["crc", "ignoreCrc", "p", "f"];
                let given = Format::new(1, MANY, flags).with_values(values).parse(arguments)?;
                check_threads(&given)?;
                self.overwrite = given.has("f");
                self.write_crc = given.has("crc");
                if given.has("p") {
                    self.keep_all();
                }
                self.local_target(shell, arguments)
            }
            Verb::Copy => {
                self.take_preserve(arguments)?;
                let given =
                    Format::new(2, MANY, &["f", "d"]).with_values(values).parse(arguments)?;
                check_threads(&given)?;
                self.overwrite = given.has("f");
                self.direct = given.has("d");
                self.remote_target(shell, arguments)
            }
            Verb::Move => {
                Format::new(2, MANY, &[]).parse(arguments)?;
                self.remote_target(shell, arguments)
            }
        }
    }

    fn expand(&mut self, shell: &mut Shell, argument: &str) -> Result<Vec<Item>, Trouble> {
        match self.verb {
            Verb::Put | Verb::MoveFromLocal => Ok(vec![shell.local_item(argument)?]),
            _ => walk::expand(shell, argument),
        }
    }

    fn arguments(&mut self, shell: &mut Shell, items: Vec<Item>) -> Outcome {
        let puts = matches!(self.verb, Verb::Put | Verb::MoveFromLocal);
        if puts && matches!(&items[..], [only] if only.text == "-") {
            let target = self.target_of(shell, &items[0])?;
            if target.is_directory() || (target.exists() && !self.overwrite) {
                return Err(Trouble::exists(&target.text));
            }
            return self.write(Reader::stdin(), 0, &target);
        }
        let target = self.target()?;
        if items.len() > 1 {
            if !target.exists() {
                return Err(Trouble::missing(&target.text));
            }
            if !target.is_directory() {
                return Err(Trouble::is_not_directory(&target.text));
            }
        } else if target.is_file() && !self.overwrite {
            return Err(Trouble::exists(&target.text));
        } else if !target.exists() && !target.parent_exists()? {
            let full = target.path.to_string();
            return Err(Trouble::missing_in_full(&target.text, &full));
        }
        walk::arguments(self, shell, items)
    }

    fn path_argument(&mut self, shell: &mut Shell, source: &Item) -> Outcome {
        let target = self.target()?;
        if source.is_directory() && source.system.root == target.system.root {
            shell.depth = 0;
            let target = self.target_of(shell, source)?;
            let (from, to) = (source.path.to_string(), target.path.to_string());
            if from == to {
                return Err(Trouble::Message(format!(
                    "`{}' to `{to}': are identical",
                    source.text
                )));
            }
            let below = format!("{}/", from.trim_end_matches('/'));
            if to.starts_with(&below) {
                return Err(Trouble::Message(format!(
                    "`{}' to `{}': is a subdirectory of itself",
                    source.text, target.text
                )));
            }
        }
        walk::path_argument(self, shell, source)
    }

    fn path(&mut self, shell: &mut Shell, source: &Item) -> Outcome {
        let target = self.target_of(shell, source)?;
        if self.verb == Verb::Move {
            return self.move_to(source, &target);
        }
        if self.verb == Verb::MoveFromLocal && target.is_directory() && source.is_file() {
            return Err(Trouble::exists(&target.text));
        }
        if source.is_directory() { Ok(()) } else { self.copy_file(source, &target) }
    }

    fn after(&mut self, _shell: &mut Shell, source: &Item) -> Outcome {
        if self.verb == Verb::MoveFromLocal && !source.system.delete(&source.path, false)? {
            return Err(Trouble::failed_to("remove", &source.text, None));
        }
        Ok(())
    }

    fn recurse(&mut self, shell: &mut Shell, source: &Item) -> Outcome {
        let saved = self.target.clone();
        let outcome = (|| {
            let mut target = self.target_of(shell, source)?;
            if target.exists() {
                if !target.is_directory() {
                    return Err(Trouble::is_not_directory(&target.text));
                }
            } else {
                if !target.system.mkdirs(&target.path)? {
                    return Err(Trouble::failed_to("mkdir", &target.text, None));
                }
                target.refresh()?;
            }
            self.target = Some(target.clone());
            walk::recurse(self, shell, source)?;
            self.preserve(source, &target)
        })();
        self.target = saved;
        outcome
    }

    fn is_recursive(&self) -> bool {
        self.verb != Verb::Move
    }
}
