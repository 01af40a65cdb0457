//! What all commands share: file systems, globbing, output, errors and the exit code.

use std::collections::HashMap;
use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Arc;

use chrono::Local;
use ozone_client::OzoneClient;
use ozone_client::fs::{FileStatus, FsError};
use ozone_config::Configuration;
use tokio::runtime::Runtime;

use super::path::{self, FsPath};
use super::pattern::{self, Pattern};
use super::system::{SharedSystem, System};
use super::trouble::Trouble;

/// One path of the command line, or below one.
#[derive(Clone)]
pub struct Item {
    /// As it is shown.
    pub text: String,
    /// The file system it is in.
    pub system: SharedSystem,
    /// Absolute, with scheme and authority.
    pub path: FsPath,
    /// What it is; `None` if it is not there.
    pub status: Option<FileStatus>,
}

impl Item {
    /// Whether something is there.
    pub fn exists(&self) -> bool {
        self.status.is_some()
    }

    /// Whether a directory is there.
    pub fn is_directory(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.is_directory)
    }

    /// Whether a file is there.
    pub fn is_file(&self) -> bool {
        self.status.as_ref().is_some_and(|status| !status.is_directory)
    }

    /// Bytes of what is there.
    pub fn length(&self) -> u64 {
        self.status.as_ref().map_or(0, |status| status.length)
    }

    /// Whether the text says that a directory is meant: it ends with a slash or dots.
    pub fn looks_like_directory(&self) -> bool {
        matches!(self.text.rsplit('/').next(), Some("" | "." | ".."))
    }

    /// What a child of this is shown as.
    fn text_of(&self, name: &str) -> String {
        match &self.text[..] {
            "." => name.to_owned(),
            text if text.ends_with('/') => format!("{text}{name}"),
            text => format!("{text}/{name}"),
        }
    }

    /// A child that a listing told of.
    pub fn listed(&self, status: FileStatus) -> Self {
        let name = status.path.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            text: self.text_of(&name),
            system: self.system.clone(),
            path: self.path.child(&name),
            status: Some(status),
        }
    }

    /// A child that may be there.
    ///
    /// # Errors
    /// The file system cannot tell.
    pub fn child(&self, name: &str) -> Result<Self, Trouble> {
        let path = self.path.child(name);
        let status = status(&self.system, &path)?;
        Ok(Self { text: self.text_of(name), system: self.system.clone(), path, status })
    }

    /// The same name with something behind it; nobody looks what is there.
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let trimmed = self.path.path.trim_end_matches('/');
        Self {
            text: format!("{}{suffix}", self.text.trim_end_matches('/')),
            system: self.system.clone(),
            path: self.path.with_path(&format!("{trimmed}{suffix}")),
            status: None,
        }
    }

    /// Asks again what is there.
    ///
    /// # Errors
    /// The file system cannot tell.
    pub fn refresh(&mut self) -> Result<(), Trouble> {
        self.status = status(&self.system, &self.path)?;
        Ok(())
    }

    /// Whether the directory that it is to be in exists; itself, if it is meant to be one.
    ///
    /// # Errors
    /// The file system cannot tell.
    pub fn parent_exists(&self) -> Result<bool, Trouble> {
        let parent = if self.looks_like_directory() { None } else { self.path.parent() };
        Ok(self.system.exists(parent.as_ref().unwrap_or(&self.path))?)
    }
}

fn status(system: &System, path: &FsPath) -> Result<Option<FileStatus>, Trouble> {
    match system.status(path) {
        Ok(status) => Ok(Some(status)),
        Err(FsError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// One run of one command.
pub struct Shell {
    /// Settings.
    pub conf: Configuration,
    /// Standard output.
    pub out: BufWriter<Stdout>,
    /// The command's name without its dash.
    pub name: String,
    /// Exit code if no error was told.
    pub exit_code: u8,
    /// Errors that were told.
    pub errors: u32,
    /// Directories between the argument and where the walk is.
    pub depth: usize,
    runtime: Runtime,
    systems: HashMap<String, SharedSystem>,
}

impl Shell {
    /// A shell that has done nothing yet.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(conf: Configuration, name: &str) -> io::Result<Self> {
        /// Enough for what one client moves.
        const THREADS: usize = 2;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()?;
        Ok(Self {
            conf,
            out: BufWriter::new(io::stdout()),
            name: name.to_owned(),
            exit_code: 0,
            errors: 0,
            depth: 0,
            runtime,
            systems: HashMap::new(),
        })
    }

    /// Prints a line.
    ///
    /// # Errors
    /// Nobody reads it.
    pub fn line(&mut self, text: &str) -> Result<(), Trouble> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Tells of a trouble that is no reason to end, and counts it.
    ///
    /// # Errors
    /// One that is.
    pub fn report(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match trouble {
            Trouble::NotFound(text) | Trouble::AlreadyExists(text) | Trouble::Message(text) => {
                self.errors += 1;
                self.warn(text.lines().next().unwrap_or_default());
                Ok(())
            }
            other => Err(other),
        }
    }

    /// A line on standard error that begins with the command's name.
    pub fn warn(&mut self, text: &str) {
        // What was printed before comes before.
        let _ = self.out.flush();
        eprintln!("{}: {text}", self.name);
    }

    /// Where relative paths lead to (`fs.defaultFS`).
    fn default_path(&self) -> Result<FsPath, Trouble> {
        let text = self.conf.string("fs.defaultFS", "file:///")?;
        Ok(FsPath::parse(&text))
    }

    /// The file system of a path.
    ///
    /// # Errors
    /// There is none, or it cannot be reached.
    pub fn system(&mut self, path: &FsPath) -> Result<SharedSystem, Trouble> {
        let mut wanted = path.clone();
        if path.scheme.is_none() || path.authority.is_none() {
            let usual = self.default_path()?;
            if path.scheme.is_none() || path.scheme == usual.scheme {
                wanted = usual;
            }
        }
        wanted.path = "/".to_owned();
        let id = wanted.to_string();
        if let Some(known) = self.systems.get(&id) {
            return Ok(known.clone());
        }
        let handle = self.runtime.handle().clone();
        let system = Arc::new(System::open(&wanted, &self.conf, handle)?);
        self.systems.insert(id, system.clone());
        Ok(system)
    }

    /// A path as given, without globbing.
    ///
    /// # Errors
    /// The file system cannot tell what is there.
    pub fn item(&mut self, text: &str) -> Result<Item, Trouble> {
        let system = self.system(&given(text)?)?;
        let path = qualified(&system, text);
        let status = status(&system, &path)?;
        Ok(Item { text: text.to_owned(), system, path, status })
    }

    /// A local path as given; `file:` before it is allowed.
    ///
    /// # Errors
    /// The system cannot tell what is there.
    pub fn local_item(&mut self, text: &str) -> Result<Item, Trouble> {
        let mut parsed = given(text)?;
        parsed.scheme = Some("file".to_owned());
        let shown = Some(parsed.path.clone()).filter(|path| !path.is_empty());
        let shown = shown.unwrap_or_else(|| ".".to_owned());
        let shown = if text.ends_with('/') && shown != "/" { format!("{shown}/") } else { shown };
        let system = self.system(&FsPath { authority: None, ..parsed })?;
        let path = qualified(&system, &shown);
        let status = status(&system, &path)?;
        Ok(Item { text: shown, system, path, status })
    }

    /// The paths that match a pattern, in order. One without wildcards that matches nothing is
    /// itself, not there.
    ///
    /// # Errors
    /// The pattern is none, or the file system cannot tell.
    pub fn glob(&mut self, text: &str) -> Result<Vec<Item>, Trouble> {
        let parsed = given(text)?;
        let system = self.system(&parsed)?;
        let Some(found) = glob(&system, &parsed.path)? else {
            let text = pattern::unescape(text);
            let path = qualified(&system, &text);
            return Ok(vec![Item { text, system, path, status: None }]);
        };
        let mut items = Vec::with_capacity(found.len());
        for status in found {
            let path = system.root.with_path(&status.path);
            let text = if let Some(scheme) = &parsed.scheme {
                let authority = parsed.authority.as_deref().unwrap_or_default();
                format!("{scheme}://{authority}{}", path.path)
            } else if parsed.is_absolute() {
                path.path.clone()
            } else {
                path::relative(&system.working_directory, &path.path)
            };
            items.push(Item { text, system: system.clone(), path, status: Some(status) });
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(items)
    }
}

/// A path of the command line.
fn given(text: &str) -> Result<FsPath, Trouble> {
    FsPath::given(text).map_err(Trouble::Illegal)
}

/// An absolute path in a file system.
fn qualified(system: &System, text: &str) -> FsPath {
    let parsed = FsPath::parse(text);
    if parsed.path.is_empty() && system.ozone().is_some_and(|fs| !fs.is_rooted()) {
        return system.root.clone();
    }
    if parsed.is_absolute() {
        return system.root.with_path(&parsed.path);
    }
    system.root.with_path(&path::resolve(&system.working_directory, &parsed.path))
}

/// What matches a pattern; `None` if it has no wildcard and nothing is there (`Globber`).
fn glob(system: &System, text: &str) -> Result<Option<Vec<FileStatus>>, Trouble> {
    let flat = pattern::expand(text).map_err(Trouble::Message)?;
    let (mut found, mut wild) = (Vec::new(), flat.len() > 1);
    for one in &flat {
        let whole = qualified(system, one).path;
        let parts: Vec<&str> = whole.split('/').filter(|part| !part.is_empty()).collect();
        found.extend(matching(system, &parts, &mut wild)?);
    }
    Ok(if !wild && found.is_empty() { None } else { Some(found) })
}

fn matching(system: &System, parts: &[&str], wild: &mut bool) -> Result<Vec<FileStatus>, Trouble> {
    // What a listing told of needs not to be asked for.
    let mut candidates: Vec<(FsPath, Option<FileStatus>)> = vec![(system.root.clone(), None)];
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        path::check_colon(part).map_err(Trouble::Illegal)?;
        let pattern = Pattern::new(part).map_err(Trouble::Message)?;
        if !pattern.has_wildcard() {
            // Whether it exists is seen when something is looked for in it, or at the end.
            let name = pattern::unescape(part);
            for (path, status) in &mut candidates {
                *path = path.child(&name);
                *status = None;
            }
            continue;
        }
        *wild = true;
        let mut next = Vec::new();
        for (candidate, _) in candidates {
            let children = match system.list(&candidate) {
                Err(FsError::NotFound(_)) => continue,
                other => other?,
            };
            // A file lists itself.
            if children.len() == 1 && children[0].path == candidate.path {
                continue;
            }
            for child in children {
                let path = system.root.with_path(&child.path);
                if pattern.matches(path.name()) && (last || child.is_directory) {
                    next.push((path, Some(child)));
                }
            }
        }
        candidates = next;
    }
    let mut found = Vec::with_capacity(candidates.len());
    for (path, known) in candidates {
        found.extend(if known.is_some() { known } else { status(system, &path)? });
    }
    Ok(found)
}

/// Says on standard error, once for each reason, that a call has to wait.
pub fn tell_of_waits(client: &OzoneClient) {
    let told = parking_lot::Mutex::new(String::new());
    client.om().observe(Arc::new(move |reason| {
        let mut told = told.lock();
        if *told != reason {
            eprintln!("{reason}; trying again");
            reason.clone_into(&mut told);
        }
    }));
}

/// A line on standard error that looks as one of Hadoop's log.
pub fn log(level: &str, text: &str) {
    eprintln!("{} {level} fs: {text}", Local::now().format("%Y-%m-%d %H:%M:%S,%3f"));
}
