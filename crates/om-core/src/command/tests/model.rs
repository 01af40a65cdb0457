//! Random requests against the namespace and a model of it that knows neither rows nor layouts:
//! crashes and restarts between, every listing and account compared after each step.
//!
//! `OM_MODEL_SEED` repeats a run (a failing one prints its seed), `OM_MODEL_STEPS` makes it longer.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::deletion;

const BLOCK: u64 = 10;
const COPIES: u64 = 3;
const STEPS: u64 = 150;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// One of a few names, up to three deep, so that requests meet each other.
    fn name(&mut self) -> String {
        let depth = 1 + self.below(3);
        let part = |n: u64| ["a", "b", "a-", "ab"][n as usize];
        (0..depth).map(|_| part(self.below(4))).collect::<Vec<_>>().join("/")
    }
}

/// What a user believes to have.
#[derive(Default)]
struct Model {
    is_tree: bool,
    files: BTreeMap<String, u64>,
    folders: BTreeSet<String>,
    used: (u64, u64),
    /// Deleted, with blocks that are not reclaimed yet.
    pending: (u64, u64),
    /// Sizes of files and number of folders in deleted trees, and the number of these trees.
    doomed: (Vec<u64>, u64, u64),
    quota: (Option<u64>, Option<u64>),
}

fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

impl Model {
    fn fits(&self, bytes: u64, names: u64) -> bool {
        let space = self.used.0 + self.pending.0 + bytes;
        let count = self.used.1 + self.pending.1 + names;
        self.quota.0.is_none_or(|quota| space <= quota)
            && self.quota.1.is_none_or(|quota| count <= quota)
    }

    /// Whether the create is allowed, and the commit after it.
    fn put(&mut self, name: &str, size: u64) -> (bool, bool) {
        let missing: Vec<String> = parents(name)
            .filter(|folder| self.is_tree && !self.folders.contains(*folder))
            .map(str::to_owned)
            .collect();
        let blocked = self.is_tree
            && (self.folders.contains(name)
                || parents(name).any(|folder| self.files.contains_key(folder)));
        let reserved = if size > 0 { BLOCK * COPIES } else { 0 };
        if blocked || !self.fits(reserved, missing.len() as u64 + 1) {
            return (false, false);
        }
        self.used.1 += missing.len() as u64;
        self.folders.extend(missing);
        if !self.fits(size * COPIES, 1) {
            return (true, false);
        }
        if let Some(old) = self.files.insert(name.to_owned(), size) {
            self.release(old);
        }
        self.used.0 += size * COPIES;
        self.used.1 += 1;
        (true, true)
    }

    fn release(&mut self, size: u64) {
        self.used.0 -= size * COPIES;
        self.used.1 -= 1;
        if size > 0 {
            self.pending.0 += size * COPIES;
            self.pending.1 += 1;
        }
    }

    fn make_folder(&mut self, name: &str) -> bool {
        if self.folders.contains(name) {
            return true;
        }
        let blocked = self.files.contains_key(name)
            || parents(name).any(|folder| self.files.contains_key(folder));
        let mut missing: Vec<String> =
            parents(name).filter(|f| !self.folders.contains(*f)).map(str::to_owned).collect();
        missing.push(name.to_owned());
        if blocked || !self.fits(0, missing.len() as u64) {
            return false;
        }
        self.used.1 += missing.len() as u64;
        self.folders.extend(missing);
        true
    }

    fn below(&self, folder: &str) -> (Vec<String>, Vec<String>) {
        let front = format!("{folder}/");
        let files = self.files.keys().filter(|name| name.starts_with(&front)).cloned().collect();
        let folders = self.folders.iter().filter(|name| name.starts_with(&front)).cloned();
        (files, folders.collect())
    }

    fn delete(&mut self, name: &str, recursive: bool) -> bool {
        if let Some(size) = self.files.remove(name) {
            self.release(size);
            return true;
        }
        if !self.folders.contains(name) {
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

    fn rename(&mut self, from: &str, to: &str) -> bool {
        let is_folder = self.folders.contains(from);
        if !is_folder && !self.files.contains_key(from) {
            return false;
        }
        if !self.is_tree {
            let free = !self.files.contains_key(to);
            return free && self.move_to(from, to);
        }
        if is_folder && to.starts_with(&format!("{from}/")) {
            return false;
        }
        let target = if self.folders.contains(to) {
            let inside = format!("{to}/{}", crate::names::leaf(from));
            let taken = self.folders.contains(&inside) || self.files.contains_key(&inside);
            if to == from || taken {
                return false;
            }
            inside
        } else if self.files.contains_key(to) {
            return to == from;
        } else {
            match crate::names::parent(to) {
                Some(parent) if !self.folders.contains(parent) => return false,
                _ => to.to_owned(),
            }
        };
        self.move_to(from, &target)
    }

    fn move_to(&mut self, from: &str, to: &str) -> bool {
        let (files, folders) =
            if self.folders.contains(from) { self.below(from) } else { (Vec::new(), Vec::new()) };
        let moved = |name: &str| format!("{to}{}", &name[from.len()..]);
        for name in files.iter().map(String::as_str).chain([from]) {
            if let Some(size) = self.files.remove(name) {
                self.files.insert(moved(name), size);
            }
        }
        for name in folders.iter().map(String::as_str).chain([from]) {
            if self.folders.remove(name) {
                self.folders.insert(moved(name));
            }
        }
        true
    }

    /// The trees are taken apart: their files wait for their blocks.
    fn take_apart(&mut self) {
        let (files, folders, trees) = std::mem::take(&mut self.doomed);
        for size in files {
            self.release(size);
        }
        self.used.1 -= folders;
        self.pending.1 -= trees;
    }

    fn children(&self, folder: &str) -> Vec<String> {
        let front = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let all: BTreeSet<&String> = self.files.keys().chain(&self.folders).collect();
        let below = all.into_iter().filter_map(|name| name.strip_prefix(&front));
        below.filter(|rest| !rest.contains('/')).map(|rest| format!("{front}{rest}")).collect()
    }
}

/// The namespace under test: its log outlives crashes.
struct Subject {
    om: Om,
    log: Vec<(u64, OmRequest)>,
}

impl Subject {
    fn ask(&mut self, mut request: OmRequest, through_link: bool) -> OmResponse {
        if through_link {
            for args in [
                request.create_key_request.as_mut().map(|r| &mut r.key_args),
                request.commit_key_request.as_mut().map(|r| &mut r.key_args),
                request.delete_key_request.as_mut().map(|r| &mut r.key_args),
                request.rename_key_request.as_mut().map(|r| &mut r.key_args),
            ]
            .into_iter()
            .flatten()
            {
                args.bucket_name = "link".into();
            }
        }
        request.user_info =
            Some(Box::new(UserInfo { user_name: Some(USER.into()), ..Default::default() }));
        let mut reply = reply_to(&request);
        match prepare(&mut request, &self.om.ns(), &self.om.caller()) {
            Ok(None) => {}
            Ok(Some(wanted)) => {
                let blocks = (0..wanted.count).map(|_| self.om.block()).collect();
                provide(&mut request, blocks);
            }
            Err(failure) => {
                refuse(&mut reply, failure.into_error());
                return *reply;
            }
        }
        self.om.index += 1;
        self.log.push((self.om.index, request.clone()));
        self.replay(self.om.index, request)
    }

    fn replay(&self, index: u64, request: OmRequest) -> OmResponse {
        let (reply, changes) =
            apply(Box::new(request), At { term: 1, index }, self.om.ns()).unwrap();
        self.om.cache.apply(Applied { term: 1, index }, changes);
        *reply
    }

    /// What was not flushed is lost, and comes back from the log.
    fn crash(&mut self) {
        self.om.cache = TableCache::new(self.om.cache.store().clone());
        let flushed = self.om.cache.flushed().unwrap().map_or(0, |applied| applied.index);
        for (index, request) in self.log.clone() {
            if index > flushed {
                self.replay(index, request);
            }
        }
        self.log.retain(|(index, _)| *index > flushed);
    }

    fn put(&mut self, name: &str, size: u64, link: bool) -> (bool, bool) {
        let open = self.ask(create_key(name, size), link);
        let Some(open) = open.create_key_response else { return (false, false) };
        let done = self.ask(commit_key(name, &open, size), link);
        (true, done.status() == Status::Ok)
    }

    fn purge(&mut self) {
        let mut deleted = PurgeKeysRequest::default();
        let mut sizes = BucketPurgeKeysSize::default();
        let mut keys = Vec::new();
        for row in self.om.rows(&tables::DELETED) {
            let info = self.om.row(&tables::DELETED, &row).unwrap();
            for key in info.key_info.iter().filter(|key| key.object_id() != 0) {
                *sizes.purged_bytes.get_or_insert(0) += crate::key::replicated_blocks(key);
                *sizes.purged_namespace.get_or_insert(0) += 1;
            }
            keys.push(row);
        }
        sizes.bucket_name_info = Some(BucketNameInfo {
            bucket_id: self.om.bucket().object_id,
            volume_name: Some("vol".into()),
            bucket_name: Some("buck".into()),
            ..Default::default()
        });
        deleted.deleted_keys = vec![DeletedKeys { keys, ..Default::default() }];
        deleted.bucket_purge_keys_size = vec![sizes];
        let body = Some(Box::new(deleted));
        self.ask(OmRequest { purge_keys_request: body, ..kind(Type::PurgeKeys) }, false);
    }

    fn take_apart(&mut self) {
        while let Some(plan) = deletion::next_directories(&self.om.ns(), 3).unwrap() {
            let body = Some(Box::new(plan));
            let request =
                OmRequest { purge_directories_request: body, ..kind(Type::PurgeDirectories) };
            self.ask(request, false);
        }
    }

    fn level(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let start = names.last().cloned().unwrap_or_default();
            let page = self.om.read(OmRequest {
                list_status_request: Some(Box::new(ListStatusRequest {
                    key_args: args(folder),
                    start_key: start.clone(),
                    num_entries: 3,
                    ..Default::default()
                })),
                ..kind(Type::ListStatus)
            });
            let page = page.list_status_response.unwrap().statuses;
            let fresh: Vec<String> = page
                .into_iter()
                .filter_map(|status| status.key_info.map(|key| key.key_name))
                .filter(|name| *name != start)
                .collect();
            if fresh.is_empty() {
                return names;
            }
            names.extend(fresh);
        }
    }

    fn keys(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let start = names.last().cloned().unwrap_or_default();
            let (page, more) = self.om.list(&start, "", 3);
            names.extend(page);
            if !more {
                return names;
            }
        }
    }
}

fn compare(subject: &Subject, model: &Model) {
    if model.is_tree {
        assert_eq!(subject.level(""), model.children(""));
        for folder in &model.folders {
            assert_eq!(subject.level(folder), model.children(folder), "below {folder}");
        }
    } else {
        assert_eq!(subject.keys(), model.files.keys().cloned().collect::<Vec<_>>());
    }
    for (name, size) in &model.files {
        let info = subject.om.info(name).get_key_info_response.unwrap().key_info.unwrap();
        assert_eq!((&info.data_size, info.bucket_name.as_str()), (size, "buck"), "{name}");
    }
    let bucket = subject.om.bucket();
    assert_eq!((bucket.used_bytes(), bucket.used_namespace()), model.used, "used");
    let pending = (bucket.snapshot_used_bytes(), bucket.snapshot_used_namespace());
    assert_eq!(pending, model.pending, "pending deletion");
}

fn step(subject: &mut Subject, model: &mut Model, random: &mut Random) -> String {
    let (name, other) = (random.name(), random.name());
    let link = random.below(4) == 0;
    let ok = |reply: OmResponse| reply.status() == Status::Ok;
    match random.below(20) {
        0..=7 => {
            let size = random.below(BLOCK + 1);
            assert_eq!(subject.put(&name, size, link), model.put(&name, size), "put {name} {size}");
            format!("put {name} {size}")
        }
        8..=10 => {
            let recursive = random.below(2) == 0;
            let done = ok(subject.ask(delete_key(&name, recursive), link));
            assert_eq!(done, model.delete(&name, recursive), "delete {name} {recursive}");
            format!("delete {name}")
        }
        11..=13 => {
            let done = ok(subject.ask(rename_key(&name, &other), link));
            assert_eq!(done, model.rename(&name, &other), "rename {name} {other}");
            format!("rename {name} {other}")
        }
        14 if model.is_tree => {
            let body = CreateDirectoryRequest { key_args: args(&name) };
            let body = Some(Box::new(body));
            let request =
                OmRequest { create_directory_request: body, ..kind(Type::CreateDirectory) };
            let reply = subject.ask(request, false);
            let done = matches!(reply.status(), Status::Ok | Status::DirectoryAlreadyExists);
            assert_eq!(done, model.make_folder(&name), "mkdir {name}");
            format!("mkdir {name}")
        }
        15 => {
            let mut limit = |most| (random.below(3) > 0).then(|| 1 + random.below(most));
            let wish = (limit(900), limit(40));
            let quota = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
            let bucket_args = Some(BucketArgs {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                quota_in_bytes: Some(quota(wish.0)),
                quota_in_namespace: Some(quota(wish.1)),
                ..Default::default()
            });
            let body = SetBucketPropertyRequest { bucket_args, modification_time: None };
            let body = Some(Box::new(body));
            let request =
                OmRequest { set_bucket_property_request: body, ..kind(Type::SetBucketProperty) };
            let spaces = model.used.0 + model.pending.0;
            let names = model.used.1 + model.pending.1;
            if ok(subject.ask(request, false)) {
                model.quota = wish;
            } else {
                let below = wish.0.is_some_and(|quota| quota < spaces)
                    || wish.1.is_some_and(|quota| quota < names);
                assert!(below, "quota {wish:?}");
            }
            format!("quota {wish:?}")
        }
        16 => {
            subject.purge();
            // What is left are the folders on top of deleted trees.
            model.pending = (0, model.doomed.2);
            "purge".to_owned()
        }
        17 => {
            subject.take_apart();
            model.take_apart();
            "take trees apart".to_owned()
        }
        18 => {
            subject.om.flush();
            "flush".to_owned()
        }
        _ => {
            subject.crash();
            "crash".to_owned()
        }
    }
}

fn run(layout: BucketLayoutProto, seed: u64, steps: u64) {
    let om = Om { rules: Rules { block_bytes: BLOCK, ..Rules::default() }, ..Om::new() };
    let mut subject = Subject { om, log: Vec::new() };
    subject.ask(create_volume("vol"), false);
    subject.ask(create_bucket("vol", "buck", layout), false);
    let mut link = create_bucket("vol", "link", layout);
    let info = &mut link.create_bucket_request.as_mut().unwrap().bucket_info;
    (info.source_volume, info.source_bucket) = (Some("vol".into()), Some("buck".into()));
    subject.ask(link, false);
    let is_tree = layout == BucketLayoutProto::FileSystemOptimized;
    let mut model = Model { is_tree, ..Model::default() };
    let mut random = Random(seed);
    for _ in 0..steps {
        let did = step(&mut subject, &mut model, &mut random);
        eprintln!("{layout:?}, seed {seed}: {did}");
        compare(&subject, &model);
    }
}

#[test]
fn the_namespace_is_what_a_simple_model_says_in_every_layout() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let steps = number("OM_MODEL_STEPS").unwrap_or(STEPS);
    // RandomState is the standard library's source of entropy.
    let drawn = || {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    };
    let seed = number("OM_MODEL_SEED").unwrap_or_else(drawn);
    for layout in [
        BucketLayoutProto::ObjectStore,
        BucketLayoutProto::Legacy,
        BucketLayoutProto::FileSystemOptimized,
    ] {
        run(layout, seed, steps);
    }
}
