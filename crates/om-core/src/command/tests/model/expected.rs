//! What a user believes to have: names, sizes, accounts; no rows, no tables.

use std::collections::{BTreeMap, BTreeSet};

use super::{BLOCK, COPIES};

/// Smallest part of a complete upload but the last, in bytes.
pub const PART_MIN: u64 = 5 << 20;

/// How names behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// OBJECT_STORE: flat names, nothing else.
    Objects,
    /// LEGACY: flat names, and folders for those who ask for them.
    Legacy,
    /// LEGACY with `ozone.om.enable.filesystem.paths`.
    Paths,
    /// FILE_SYSTEM_OPTIMIZED.
    Tree,
}

/// An open key, which its writer may try to commit at any time.
#[derive(Clone, Debug)]
pub struct Open {
    pub name: String,
    /// The folder it lies in; [`GONE`] once it was cleaned up.
    pub parent: u64,
}

/// No folder.
pub const GONE: u64 = u64::MAX;

/// An upload and the sizes of its parts.
#[derive(Clone, Debug)]
pub struct Upload {
    pub name: String,
    pub id: String,
    pub parts: BTreeMap<u32, u64>,
    pub is_gone: bool,
}

pub struct Model {
    pub kind: Kind,
    /// Sizes; folders of flat kinds are files whose names end in `/`.
    pub files: BTreeMap<String, u64>,
    /// Identities; of trees only.
    pub folders: BTreeMap<String, u64>,
    next_folder: u64,
    pub used: (u64, u64),
    /// Deleted, with blocks that are not reclaimed yet.
    pub pending: (u64, u64),
    /// Sizes of files and number of folders in deleted trees, and the number of these trees.
    pub doomed: (Vec<u64>, u64, u64),
    pub quota: (Option<u64>, Option<u64>),
}

pub fn parents(name: &str) -> impl DoubleEndedIterator<Item = &str> {
    name.match_indices('/')
        .map(|(at, _)| &name[..at])
        .filter(|folder| name.len() > folder.len() + 1)
}

/// What lies where a name points to.
#[derive(PartialEq, Eq)]
enum Place {
    Free { missing: Vec<String> },
    File,
    Folder,
    BelowFile,
}

impl Model {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            next_folder: 1,
            used: (0, 0),
            pending: (0, 0),
            doomed: (Vec::new(), 0, 0),
            quota: (None, None),
        }
    }

    fn fits(&self, bytes: u64, names: u64) -> bool {
        let space = self.used.0 + self.pending.0 + bytes;
        let count = self.used.1 + self.pending.1 + names;
        self.quota.0.is_none_or(|quota| space <= quota)
            && self.quota.1.is_none_or(|quota| count <= quota)
    }

    fn has_folder(&self, name: &str) -> bool {
        self.folders.contains_key(name) || self.files.contains_key(&format!("{name}/"))
    }

    /// As those see it for whom `/` separates folders.
    fn place(&self, name: &str) -> Place {
        if self.files.contains_key(name) {
            return if name.ends_with('/') { Place::Folder } else { Place::File };
        }
        if self.has_folder(name) {
            return Place::Folder;
        }
        let mut missing = Vec::new();
        for folder in parents(name.trim_end_matches('/')).rev() {
            if self.files.contains_key(folder) {
                return Place::BelowFile;
            }
            if self.has_folder(folder) {
                break;
            }
            missing.push(folder.to_owned());
        }
        Place::Free { missing }
    }

    /// As keys see it: in kinds without folders there are none.
    fn key_place(&self, name: &str) -> Place {
        match self.kind {
            Kind::Paths | Kind::Tree => self.place(name),
            Kind::Objects | Kind::Legacy if self.files.contains_key(name) => Place::File,
            Kind::Objects | Kind::Legacy => Place::Free { missing: Vec::new() },
        }
    }

    fn add_folders(&mut self, names: Vec<String>) {
        self.used.1 += names.len() as u64;
        for name in names {
            if self.kind == Kind::Tree {
                self.folders.insert(name, self.next_folder);
                self.next_folder += 1;
            } else {
                self.files.insert(format!("{name}/"), 0);
            }
        }
    }

    /// The folder of a name; `None` where there is none.
    fn parent(&self, name: &str) -> Option<u64> {
        match crate::names::parent(name) {
            Some(parent) if self.kind == Kind::Tree => self.folders.get(parent).copied(),
            _ => Some(0),
        }
    }

    fn open(&mut self, name: &str, place: Place, blocks: u64) -> Option<Open> {
        let missing = match place {
            Place::Folder | Place::BelowFile => return None,
            Place::File => Vec::new(),
            Place::Free { missing } => missing,
        };
        if !self.fits(blocks * BLOCK * COPIES, missing.len() as u64 + 1) {
            return None;
        }
        self.add_folders(missing);
        let parent = self.parent(name).expect("was just made");
        Some(Open { name: name.to_owned(), parent })
    }

    /// `CreateKey` for so many bytes.
    pub fn create(&mut self, name: &str, size: u64) -> Option<Open> {
        let place = self.key_place(name);
        self.open(name, place, size.div_ceil(BLOCK))
    }

    /// `CreateFile`, which always gets a block.
    pub fn create_file(
        &mut self,
        name: &str,
        size: u64,
        overwrite: bool,
        recursive: bool,
    ) -> Option<Open> {
        let place = self.place(name);
        match &place {
            Place::File if !overwrite => return None,
            Place::Free { missing } if !recursive && !missing.is_empty() => return None,
            _ => {}
        }
        self.open(name, place, size.div_ceil(BLOCK).max(1))
    }

    fn folder_in_the_way(&self, name: &str) -> bool {
        matches!(self.kind, Kind::Paths | Kind::Tree) && self.has_folder(name)
    }

    /// `CommitKey`.
    pub fn commit(&mut self, open: &Open, size: u64) -> bool {
        let name = &open.name;
        let no_parent = self.kind == Kind::Paths
            && crate::names::parent(name).is_some_and(|parent| !self.has_folder(parent));
        if open.parent == GONE
            || self.folder_in_the_way(name)
            || no_parent
            || self.parent(name) != Some(open.parent)
            || !self.fits(size * COPIES, 1)
        {
            return false;
        }
        if let Some(old) = self.files.insert(name.clone(), size) {
            self.release(old);
        }
        self.used.0 += size * COPIES;
        self.used.1 += 1;
        true
    }

    fn release(&mut self, size: u64) {
        self.used.0 -= size * COPIES;
        self.used.1 -= 1;
        if size > 0 {
            self.pending.0 += size * COPIES;
            self.pending.1 += 1;
        }
    }

    pub fn make_folder(&mut self, name: &str) -> bool {
        match self.place(name) {
            Place::Folder => true,
            Place::File | Place::BelowFile => false,
            Place::Free { mut missing } => {
                missing.push(name.to_owned());
                let fits = self.fits(0, missing.len() as u64);
                if fits {
                    self.add_folders(missing);
                }
                fits
            }
        }
    }

    fn below(&self, folder: &str) -> (Vec<String>, Vec<String>) {
        let front = format!("{folder}/");
        let files = self.files.keys().filter(|name| name.starts_with(&front)).cloned().collect();
        let folders = self.folders.keys().filter(|name| name.starts_with(&front)).cloned();
        (files, folders.collect())
    }

    pub fn delete(&mut self, name: &str, recursive: bool) -> bool {
        let marker = format!("{name}/");
        let flat_folder = (self.kind == Kind::Paths).then_some(marker);
        for name in [Some(name.to_owned()), flat_folder].into_iter().flatten() {
            if let Some(size) = self.files.remove(&name) {
                self.release(size);
                return true;
            }
        }
        if !self.folders.contains_key(name) {
            return false;
        }
        let (files, folders) = self.below(name);
        if !recursive && files.len() + folders.len() > 0 {
            return false;
        }
        self.folders.remove(name);
        self.used.1 -= 1;
        self.pending.1 += 1;
        self.doomed.1 += folders.len() as u64;
        self.doomed.2 += 1;
        for name in folders {
            self.folders.remove(&name);
        }
        for name in files {
            self.doomed.0.extend(self.files.remove(&name));
        }
        true
    }

    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let is_folder = self.folders.contains_key(from);
        if !is_folder && !self.files.contains_key(from) {
            return false;
        }
        if self.kind != Kind::Tree {
            let free = !self.files.contains_key(to);
            return free && self.move_to(from, to);
        }
        if is_folder && to.starts_with(&format!("{from}/")) {
            return false;
        }
        let target = if self.folders.contains_key(to) {
            let inside = format!("{to}/{}", crate::names::leaf(from));
            let taken = self.folders.contains_key(&inside) || self.files.contains_key(&inside);
            if to == from || taken {
                return false;
            }
            inside
        } else if self.files.contains_key(to) {
            return to == from;
        } else {
            match crate::names::parent(to) {
                Some(parent) if !self.folders.contains_key(parent) => return false,
                _ => to.to_owned(),
            }
        };
        self.move_to(from, &target)
    }

    fn move_to(&mut self, from: &str, to: &str) -> bool {
        let (files, folders) = if self.folders.contains_key(from) {
            self.below(from)
        } else {
            (Vec::new(), Vec::new())
        };
        let moved = |name: &str| format!("{to}{}", &name[from.len()..]);
        for name in files.iter().map(String::as_str).chain([from]) {
            if let Some(size) = self.files.remove(name) {
                self.files.insert(moved(name), size);
            }
        }
        for name in folders.iter().map(String::as_str).chain([from]) {
            if let Some(id) = self.folders.remove(name) {
                self.folders.insert(moved(name), id);
            }
        }
        true
    }

    /// The trees are taken apart: their files wait for their blocks.
    pub fn take_apart(&mut self) {
        let (files, folders, trees) = std::mem::take(&mut self.doomed);
        for size in files {
            self.release(size);
        }
        self.used.1 -= folders;
        self.pending.1 -= trees;
    }

    /// `InitiateMultiPartUpload`.
    pub fn initiate(&mut self, name: &str) -> bool {
        if self.kind != Kind::Tree {
            return true;
        }
        let missing = match self.place(name) {
            Place::Folder | Place::BelowFile => return false,
            Place::File => Vec::new(),
            Place::Free { missing } => missing,
        };
        let fits = missing.is_empty() || self.fits(0, missing.len() as u64);
        if fits {
            self.add_folders(missing);
        }
        fits
    }

    /// `CreateKey` of a part.
    pub fn open_part(&mut self, upload: &Upload) -> bool {
        let place = self.key_place(&upload.name);
        !upload.is_gone && self.open(&upload.name, place, 0).is_some()
    }

    /// `AllocateBlock` for a part without blocks.
    pub fn allocate(&self) -> bool {
        self.quota.0.is_none_or(|quota| self.used.0 + self.pending.0 + BLOCK * COPIES <= quota)
    }

    /// `CommitMultiPartUpload`.
    pub fn commit_part(&mut self, upload: &mut Upload, number: u32, size: u64) -> bool {
        let freed = upload.parts.get(&number).copied().unwrap_or(0) * COPIES;
        let all = self.used.0 + self.pending.0 + size * COPIES;
        if self.quota.0.is_some_and(|quota| all > quota + freed) {
            return false;
        }
        upload.parts.insert(number, size);
        self.used.0 = self.used.0 + size * COPIES - freed;
        true
    }

    /// `CompleteMultiPartUpload` of these parts.
    pub fn complete(&mut self, upload: &mut Upload, numbers: &[u32]) -> bool {
        let name = upload.name.clone();
        let place = self.key_place(&name);
        let blocked =
            self.folder_in_the_way(&name) || (self.kind == Kind::Tree && place == Place::BelowFile);
        let sizes: Option<Vec<u64>> =
            numbers.iter().map(|number| upload.parts.get(number).copied()).collect();
        let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) else { return false };
        let small = sizes[..sizes.len() - 1].iter().any(|size| *size < PART_MIN);
        if blocked || small || upload.is_gone {
            return false;
        }
        let missing = match place {
            Place::Free { missing } if self.kind == Kind::Tree => missing,
            _ => Vec::new(),
        };
        let exists = self.files.contains_key(&name);
        if !exists && !self.fits_names(1 + missing.len() as u64) {
            return false;
        }
        self.add_folders(missing);
        let named: BTreeSet<u32> = numbers.iter().copied().collect();
        for (_, size) in upload.parts.iter().filter(|(number, _)| !named.contains(number)) {
            self.used.0 -= size * COPIES;
        }
        if let Some(old) = self.files.insert(name, sizes.iter().sum()) {
            self.release(old);
        }
        self.used.1 += 1;
        upload.is_gone = true;
        true
    }

    fn fits_names(&self, names: u64) -> bool {
        self.quota.1.is_none_or(|quota| self.used.1 + self.pending.1 + names <= quota)
    }

    pub fn abort(&mut self, upload: &mut Upload) -> bool {
        if upload.is_gone {
            return false;
        }
        self.used.0 -= upload.parts.values().sum::<u64>() * COPIES;
        upload.is_gone = true;
        true
    }

    /// One level below `folder` (`""` is the bucket), in order; folders of flat kinds end in `/`.
    pub fn children(&self, folder: &str) -> Vec<String> {
        let front = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let all: BTreeSet<&String> = self.files.keys().chain(self.folders.keys()).collect();
        let below = all.into_iter().filter_map(|name| name.strip_prefix(&front));
        let level: BTreeSet<String> = below
            .filter(|rest| !rest.is_empty())
            .filter(|rest| self.kind != Kind::Tree || !rest.contains('/'))
            .map(|rest| match rest.find('/') {
                Some(end) => format!("{front}{}", &rest[..=end]),
                None => format!("{front}{rest}"),
            })
            .collect();
        level.into_iter().collect()
    }

    /// Folders that can be listed without meeting a file of the same name.
    pub fn listable(&self) -> Vec<String> {
        if self.kind == Kind::Tree {
            return self.folders.keys().cloned().collect();
        }
        let mut folders = BTreeSet::new();
        for name in self.files.keys() {
            folders.extend(name.match_indices('/').map(|(at, _)| name[..at].to_owned()));
        }
        folders.into_iter().filter(|folder| !self.files.contains_key(folder)).collect()
    }
}
