//! How a path becomes rows: the layout of a bucket as a value.
//!
//! ```text
//!            OBJECT_STORE, LEGACY                      FILE_SYSTEM_OPTIMIZED
//!  key       keyTable  /vol/bucket/a/b/file            fileTable      /volId/bucketId/id of b/file
//!  folder    keyTable  /vol/bucket/a/b/ (a marker)     directoryTable /volId/bucketId/id of a/b
//!  open key  the key's row and /<client id>, in openKeyTable or openFileTable
//! ```
//! Handlers ask a [`Bucket`] to [`walk`](Bucket::walk) a name and edit rows through the [`Walk`]; none
//! of them knows which tables that means.

use std::sync::Arc;

use bytes::Bytes;
use om_proto::{BucketInfo, BucketLayoutProto, DirectoryInfo, KeyArgs, KeyInfo, OzoneAclInfo};

use crate::acl;
use crate::error::{Failure, OmError};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::replication;
use crate::rules::Rules;
use crate::tables::{self, Table};

/// Objects that one transaction may create: the object id has eight bits for their number.
const CREATED_MAX: usize = 255;

/// Layout of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Flat names; `/` means nothing.
    ObjectStore,
    /// Flat names in which folders are keys that end in `/`.
    Legacy {
        /// `ozone.om.enable.filesystem.paths`: paths are normalised, parents made on the way.
        normalize: bool,
    },
    /// A tree by parent ids.
    FileSystem,
}

impl Layout {
    /// The layout of a stored bucket; one without belongs to the time of LEGACY.
    pub fn of(info: &BucketInfo, rules: &Rules) -> Self {
        match info.bucket_layout.and_then(|layout| BucketLayoutProto::try_from(layout).ok()) {
            Some(BucketLayoutProto::ObjectStore) => Self::ObjectStore,
            Some(BucketLayoutProto::FileSystemOptimized) => Self::FileSystem,
            Some(BucketLayoutProto::Legacy) | None => {
                Self::Legacy { normalize: rules.filesystem_paths }
            }
        }
    }

    /// Whether `/` separates folders (`BucketLayout.shouldNormalizePaths`).
    pub fn normalizes(self) -> bool {
        matches!(self, Self::FileSystem | Self::Legacy { normalize: true })
    }

    /// Whether folders are rows of their own table.
    pub fn is_tree(self) -> bool {
        self == Self::FileSystem
    }

    /// Whether folders are marker keys that end in `/` and are looked for without being asked.
    pub fn has_markers(self) -> bool {
        self == Self::Legacy { normalize: true }
    }

    /// Where finished keys live.
    pub fn keys(self) -> &'static Table<KeyInfo> {
        if self.is_tree() { &tables::FILE } else { &tables::KEY }
    }

    /// Where keys under way live.
    pub fn open_keys(self) -> &'static Table<KeyInfo> {
        if self.is_tree() { &tables::OPEN_FILE } else { &tables::OPEN_KEY }
    }
}

/// A bucket that keys live in (never a link).
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its row, shared with the cache until it is changed.
    pub info: Arc<BucketInfo>,
    /// Its layout.
    pub layout: Layout,
    /// Object id of the volume; only filled where paths are made of ids.
    pub volume_id: u64,
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// Nothing yet.
    Free,
    /// A key.
    File(KeyInfo),
    /// A folder, as a key without data.
    Folder(KeyInfo),
    /// One of the folders in the path is a file: this one.
    BelowFile(String),
}

/// A name followed as far as there are folders.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The full name.
    pub name: String,
    /// What is there.
    pub leaf: Leaf,
    /// Names of the folders that do not exist, from the top; for flat layouts their full names.
    pub missing: Vec<String>,
    /// Id of the deepest folder that exists; 0 in flat layouts.
    known_parent: u64,
    /// That folder, when it is not the bucket itself.
    parent: Option<Parent>,
}

/// The deepest folder that exists.
#[derive(Clone, Debug)]
enum Parent {
    /// Of a tree.
    Folder(Arc<DirectoryInfo>),
    /// Of a flat layout: its ACLs.
    Marker(Vec<OzoneAclInfo>),
}

impl Bucket {
    /// Volume and bucket.
    pub fn names(&self) -> (&str, &str) {
        (&self.info.volume_name, &self.info.bucket_name)
    }

    /// Its row, to be changed.
    pub fn info_mut(&mut self) -> &mut BucketInfo {
        Arc::make_mut(&mut self.info)
    }

    /// Object id.
    pub fn id(&self) -> u64 {
        self.info.object_id.unwrap_or(0)
    }

    /// The name under which an existing key is found.
    pub fn key_name(&self, name: &str) -> String {
        if self.layout.normalizes() { names::normalize(name, false) } else { name.to_owned() }
    }

    /// The name under which a key is to be written.
    ///
    /// # Errors
    /// INVALID_KEY_NAME.
    pub fn new_key_name(&self, name: &str) -> Result<String, OmError> {
        if self.layout.normalizes() { names::normalize_new(name) } else { Ok(name.to_owned()) }
    }

    /// Prefix of the rows of finished keys below `parent` (ignored by flat layouts).
    pub fn rows_below(&self, parent: u64) -> Vec<u8> {
        if self.layout.is_tree() {
            tables::path_key(self.volume_id, self.id(), parent, "")
        } else {
            let (volume, bucket) = self.names();
            tables::flat_key(volume, bucket, "")
        }
    }

    /// The row of a name in a flat layout.
    pub fn flat_row(&self, name: &str) -> Vec<u8> {
        let (volume, bucket) = self.names();
        // The key `/` is spelled so by Java (`OmMetadataManagerImpl.getOzoneKey`).
        tables::flat_key(volume, bucket, if name == "/" { "" } else { name })
    }

    /// The row of an existing key or folder.
    pub fn row_of(&self, key: &KeyInfo) -> Vec<u8> {
        if self.layout.is_tree() {
            let name = names::leaf(&key.key_name);
            tables::path_key(self.volume_id, self.id(), key.parent_id.unwrap_or(0), name)
        } else {
            self.flat_row(&key.key_name)
        }
    }

    /// The row of a file, if that is what is there; what may be anything else is to be walked to.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn file_row(
        &self,
        ns: &Namespace<'_>,
        name: &str,
    ) -> Result<Option<Bytes>, Failure> {
        if name.is_empty() || name.ends_with('/') {
            return Ok(None);
        }
        if !self.layout.is_tree() {
            return Ok(ns.get_bytes(tables::KEY.slot, &self.flat_row(name))?);
        }
        let (folders, leaf) = name.rsplit_once('/').map_or((None, name), |(f, l)| (Some(f), l));
        let mut parent = self.id();
        for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
            let row = tables::path_key(self.volume_id, self.id(), parent, folder);
            let Some(folder) = ns.directory(&row)? else { return Ok(None) };
            parent = folder.object_id;
        }
        let row = tables::path_key(self.volume_id, self.id(), parent, leaf);
        // A folder of the same name comes first.
        if ns.directory(&row)?.is_some() {
            return Ok(None);
        }
        Ok(ns.get_bytes(tables::FILE.slot, &row)?)
    }

    /// Follows `name`. Flat layouts look for folders only where `folders` asks for them or the
    /// layout always does.
    ///
    /// # Errors
    /// The store failed.
    pub fn walk(&self, ns: &Namespace<'_>, name: &str, folders: bool) -> Result<Walk, Failure> {
        if self.layout.is_tree() {
            self.walk_tree(ns, name)
        } else {
            self.walk_flat(ns, name, folders || self.layout.normalizes())
        }
    }

    fn walk_tree(&self, ns: &Namespace<'_>, name: &str) -> Result<Walk, Failure> {
        let mut walk = Walk {
            name: name.to_owned(),
            leaf: Leaf::Free,
            missing: Vec::new(),
            known_parent: self.id(),
            parent: None,
        };
        let mut parts = name.split('/').peekable();
        let mut seen = 0;
        while let Some(part) = parts.next() {
            let is_leaf = parts.peek().is_none();
            seen += part.len() + 1;
            if !walk.missing.is_empty() {
                if !is_leaf {
                    walk.missing.push(part.to_owned());
                }
                continue;
            }
            let row = tables::path_key(self.volume_id, self.id(), walk.known_parent, part);
            if is_leaf {
                walk.leaf = self.leaf_in_tree(ns, name, &row)?;
            } else if let Some(folder) = ns.directory(&row)? {
                walk.known_parent = folder.object_id;
                walk.parent = Some(Parent::Folder(folder));
            } else if ns.has(&tables::FILE, &row)? {
                walk.leaf = Leaf::BelowFile(self.path_text(&name[..seen - 1]));
                return Ok(walk);
            } else {
                walk.missing.push(part.to_owned());
            }
        }
        Ok(walk)
    }

    /// What is at a row of a tree. A database of a Java OM may have a file and a folder there: then it is
    /// the folder (`OMFileRequest.getOMKeyInfoIfExists`).
    fn leaf_in_tree(&self, ns: &Namespace<'_>, name: &str, row: &[u8]) -> Result<Leaf, Failure> {
        if let Some(folder) = ns.directory(row)? {
            let folder = Arc::unwrap_or_clone(folder);
            return Ok(Leaf::Folder(folder_as_key(self.names(), folder, name, ns.rules)));
        }
        let Some(mut file) = ns.get(&tables::FILE, row)? else { return Ok(Leaf::Free) };
        name.clone_into(&mut file.key_name);
        Ok(Leaf::File(file))
    }

    fn walk_flat(&self, ns: &Namespace<'_>, name: &str, folders: bool) -> Result<Walk, Failure> {
        let mut walk = Walk {
            name: name.to_owned(),
            leaf: Leaf::Free,
            missing: Vec::new(),
            known_parent: 0,
            parent: None,
        };
        if let Some(file) = ns.get(&tables::KEY, &self.flat_row(name))? {
            walk.leaf =
                if folders && name.ends_with('/') { Leaf::Folder(file) } else { Leaf::File(file) };
        } else if folders
            && let Some(marker) = ns.get(&tables::KEY, &self.flat_row(&format!("{name}/")))?
        {
            walk.leaf = Leaf::Folder(marker);
        }
        // What is there is there, whatever lies above it: a rename may have put it below a file.
        if !folders || !matches!(walk.leaf, Leaf::Free) {
            return Ok(walk);
        }
        let mut above = name.trim_end_matches('/');
        while let Some(folder) = names::parent(above) {
            above = folder;
            if folder.is_empty() {
                break;
            }
            if ns.has(&tables::KEY, &self.flat_row(folder))? {
                walk.leaf = Leaf::BelowFile(self.path_text(folder));
                return Ok(walk);
            }
            let marker = format!("{folder}/");
            if let Some(parent) = ns.get(&tables::KEY, &self.flat_row(&marker))? {
                walk.parent = Some(Parent::Marker(parent.acls));
                break;
            }
            walk.missing.insert(0, marker);
        }
        Ok(walk)
    }

    /// Whether a flat layout that treats `/` as a folder border has a marker of this folder.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn has_marker(&self, ns: &Namespace<'_>, name: &str) -> Result<bool, Failure> {
        Ok(self.layout.has_markers()
            && ns.has(&tables::KEY, &self.flat_row(&format!("{name}/")))?)
    }

    fn path_text(&self, path: &str) -> String {
        let (volume, bucket) = self.names();
        format!("/{volume}/{bucket}/{path}")
    }
}

/// A folder in the shape of a key, under its full name; `names` are volume and bucket.
pub fn folder_as_key(
    names: (&str, &str),
    folder: DirectoryInfo,
    name: &str,
    rules: &Rules,
) -> KeyInfo {
    let mut key = KeyInfo {
        volume_name: names.0.to_owned(),
        bucket_name: names.1.to_owned(),
        key_name: name.to_owned(),
        creation_time: folder.creation_time,
        modification_time: folder.modification_time,
        metadata: folder.metadata,
        acls: folder.acls,
        object_id: Some(folder.object_id),
        update_id: Some(folder.update_id),
        parent_id: Some(folder.parent_id),
        key_location_list: vec![crate::key::location_list(0, Vec::new())],
        latest_version: Some(0),
        owner_name: folder.owner_name,
        is_file: Some(false),
        ..KeyInfo::default()
    };
    replication::write_to(rules.default_replication, &mut key);
    key
}

/// Back from the shape of a key to a row of the directory table.
pub fn key_as_folder(key: &KeyInfo) -> DirectoryInfo {
    DirectoryInfo {
        name: names::leaf(&key.key_name).to_owned(),
        creation_time: key.creation_time,
        modification_time: key.modification_time,
        metadata: key.metadata.clone(),
        acls: key.acls.clone(),
        object_id: key.object_id.unwrap_or(0),
        update_id: key.update_id.unwrap_or(0),
        parent_id: key.parent_id.unwrap_or(0),
        owner_name: key.owner_name.clone(),
    }
}

impl Walk {
    /// Refuses what has no object ids left.
    ///
    /// # Errors
    /// INVALID_KEY_NAME.
    pub fn check_depth(&self) -> Result<(), OmError> {
        if self.missing.len() < CREATED_MAX {
            return Ok(());
        }
        Err(OmError::new(
            om_proto::Status::InvalidKeyName,
            format!(
                "Too many directories in path. Exceeds limit of {CREATED_MAX}. Unable to create \
                 directory: {}",
                self.name
            ),
        ))
    }

    /// Object id of the leaf, if it is new.
    pub fn object_id(&self, bucket: &Bucket, at: At) -> u64 {
        if bucket.layout.is_tree() {
            at.object_id(self.missing.len() as u64 + 1)
        } else {
            at.object_id(0)
        }
    }

    /// Id of the folder that holds the leaf once the missing ones are made; 0 in flat layouts.
    pub fn parent_id(&self, at: At) -> u64 {
        if self.known_parent == 0 || self.missing.is_empty() {
            self.known_parent
        } else {
            at.object_id(self.missing.len() as u64)
        }
    }

    /// The leaf's row among finished keys.
    pub fn row(&self, bucket: &Bucket, at: At) -> Vec<u8> {
        if bucket.layout.is_tree() {
            let leaf = names::leaf(&self.name);
            tables::path_key(bucket.volume_id, bucket.id(), self.parent_id(at), leaf)
        } else {
            bucket.flat_row(&self.name)
        }
    }

    /// ACLs that a new leaf may inherit from.
    pub fn parent_acls<'a>(&'a self, bucket: &'a Bucket) -> &'a [OzoneAclInfo] {
        match &self.parent {
            Some(Parent::Folder(folder)) => &folder.acls,
            Some(Parent::Marker(acls)) => acls,
            None => &bucket.info.acls,
        }
    }

    /// Writes the missing folders.
    pub fn put_missing(
        &self,
        ns: &mut Namespace<'_>,
        bucket: &Bucket,
        user: &str,
        args: &KeyArgs,
        at: At,
    ) {
        let acls = acl::of_folder(user, args, self.parent_acls(bucket));
        let mut parent = self.known_parent;
        for (position, name) in self.missing.iter().enumerate() {
            if bucket.layout.is_tree() {
                let folder = DirectoryInfo {
                    name: name.clone(),
                    object_id: at.object_id(position as u64 + 1),
                    parent_id: parent,
                    ..new_folder(args, acls.clone(), at)
                };
                let row = tables::path_key(bucket.volume_id, bucket.id(), parent, name);
                parent = folder.object_id;
                ns.put(&tables::DIRECTORY, row, &folder);
            } else {
                // The deepest missing parent is number one.
                let n = (self.missing.len() - position) as u64;
                let marker =
                    marker(bucket, name, args, acls.clone(), at.object_id(n), at, ns.rules);
                ns.put(&tables::KEY, bucket.flat_row(name), &marker);
            }
        }
    }

    /// Writes the leaf as a folder.
    pub fn put_folder(
        &self,
        ns: &mut Namespace<'_>,
        bucket: &Bucket,
        user: &str,
        args: &KeyArgs,
        at: At,
    ) {
        let acls = acl::of_folder(user, args, self.parent_acls(bucket));
        let id = self.object_id(bucket, at);
        if bucket.layout.is_tree() {
            let folder = DirectoryInfo {
                name: names::leaf(&self.name).to_owned(),
                object_id: id,
                parent_id: self.parent_id(at),
                ..new_folder(args, acls, at)
            };
            ns.put(&tables::DIRECTORY, self.row(bucket, at), &folder);
        } else {
            let name = format!("{}/", self.name.trim_end_matches('/'));
            let marker = marker(bucket, &name, args, acls, id, at, ns.rules);
            ns.put(&tables::KEY, bucket.flat_row(&name), &marker);
        }
    }
}

/// Metadata of the request are the key's, not its folders'. Of a grantee, a folder of a tree has one ACL.
fn new_folder(args: &KeyArgs, listed: Vec<OzoneAclInfo>, at: At) -> DirectoryInfo {
    let now = args.modification_time.unwrap_or(0);
    let mut acls = Vec::with_capacity(listed.len());
    listed.into_iter().for_each(|acl| acl::add(&mut acls, acl));
    DirectoryInfo {
        creation_time: now,
        modification_time: now,
        acls,
        update_id: at.index,
        owner_name: args.owner_name.clone(),
        ..DirectoryInfo::default()
    }
}

/// A folder of a flat layout: an empty key whose name ends in `/`.
fn marker(
    bucket: &Bucket,
    name: &str,
    args: &KeyArgs,
    acls: Vec<OzoneAclInfo>,
    id: u64,
    at: At,
    rules: &Rules,
) -> KeyInfo {
    let now = args.modification_time.unwrap_or(0);
    let mut key = KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: name.to_owned(),
        key_location_list: vec![crate::key::location_list(0, Vec::new())],
        creation_time: now,
        modification_time: now,
        latest_version: Some(0),
        acls,
        object_id: Some(id),
        update_id: Some(at.index),
        parent_id: Some(0),
        is_file: Some(false),
        owner_name: args.owner_name.clone(),
        ..KeyInfo::default()
    };
    let wish =
        replication::from_proto(args.r#type, args.factor, args.ec_replication_config.as_ref());
    let replication = wish.ok().flatten().unwrap_or(rules.default_replication);
    replication::write_to(replication, &mut key);
    key
}
