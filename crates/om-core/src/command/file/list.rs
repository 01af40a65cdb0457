//! `ListStatus` and `ListStatusLight`: one level of a folder, in byte order.
//!
//! `startKey` is returned too when it exists; clients drop what they have seen. In flat layouts a
//! level is carved out of the names: everything below a first-level folder counts as that folder.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::Bytes;
use om_proto::{
    KeyInfo, ListStatusLightResponse, ListStatusRequest, ListStatusResponse, OmResponse,
    OzoneFileStatusProto, OzoneFileStatusProtoLight, Status,
};
use ozone_db::DbError;
use prost::Message;

use super::page::{Form, StatusPage};
use super::{light, status};
use crate::command::Read;
use crate::command::key::lookup;
use crate::error::Failure;
use crate::layout::{Bucket, Leaf, folder_as_key};
use crate::names;
use crate::namespace::Namespace;
use crate::replication;
use crate::tables::{self, Table};

/// A page has room for the start, which it may hold again, and for one more, or clients that ask for one
/// entry at a time would never get on (`OzoneConfigUtil.limitValue`).
const PAGE_ROWS_MIN: usize = 2;

/// One child, and whether it is a folder.
pub(crate) type Child = (KeyInfo, bool);

/// What a request asks for.
enum Found {
    /// A level of a tree: its rows are copied into the reply.
    Level(Box<Level>),
    /// Anything else.
    Children(Vec<Child>),
}

pub(crate) fn read(
    request: &ListStatusRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
    is_old: bool,
) -> Result<Read, Failure> {
    let block_bytes = ns.rules.block_bytes;
    let children = match find(request, ns)? {
        Found::Level(level) if !is_old => {
            let locate = lookup::locate(&request.key_args);
            let form = Form::Full { locate: matches!(locate, Read::Locate) };
            return Ok(Read::Stored(level.page(ns, reply, form)?));
        }
        Found::Level(level) => level.children(ns)?,
        Found::Children(children) => children,
    };
    let statuses = children
        .into_iter()
        .map(|(key, is_folder)| OzoneFileStatusProto {
            block_size: Some(block_size(&key, is_folder, block_bytes)),
            key_info: Some(key),
            is_directory: Some(is_folder),
        })
        .collect();
    reply.list_status_response = Some(Box::new(ListStatusResponse { statuses }));
    Ok(lookup::locate(&request.key_args))
}

pub(crate) fn read_light(
    request: &ListStatusRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let block_bytes = ns.rules.block_bytes;
    let children = match find(request, ns)? {
        Found::Level(level) => return Ok(Read::Stored(level.page(ns, reply, Form::Light)?)),
        Found::Children(children) => children,
    };
    let statuses = children
        .into_iter()
        .map(|(mut key, is_folder)| OzoneFileStatusProtoLight {
            volume_name: Some(std::mem::take(&mut key.volume_name)),
            bucket_name: Some(std::mem::take(&mut key.bucket_name)),
            block_size: Some(block_size(&key, is_folder, block_bytes)),
            basic_key_info: Some(light::of_key(key)),
            is_directory: Some(is_folder),
        })
        .collect();
    reply.list_status_light_response = Some(Box::new(ListStatusLightResponse { statuses }));
    Ok(Read::Reply)
}

/// Markers of flat layouts tell no block size.
fn block_size(key: &KeyInfo, is_folder: bool, block_bytes: u64) -> u64 {
    let is_marker = is_folder && key.key_name.ends_with('/') && key.is_file == Some(false);
    if is_marker { 0 } else { block_bytes }
}

/// The rows that a request asks for, decoded.
pub(crate) fn children(
    request: &ListStatusRequest,
    ns: &Namespace<'_>,
) -> Result<Vec<Child>, Failure> {
    match find(request, ns)? {
        Found::Level(level) => level.children(ns),
        Found::Children(children) => Ok(children),
    }
}

fn find(request: &ListStatusRequest, ns: &Namespace<'_>) -> Result<Found, Failure> {
    let args = &request.key_args;
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    let wanted = usize::try_from(request.num_entries).unwrap_or(usize::MAX);
    let max = wanted.min(ns.rules.list_status_rows_max).max(PAGE_ROWS_MIN);
    if request.recursive && bucket.layout.is_tree() {
        let message = "Recursive listing is not supported on FILE_SYSTEM_OPTIMIZED buckets";
        return Err(Failure::new(Status::NotSupportedOperation, message));
    }
    let name = bucket.key_name(&args.key_name);
    let partial = request.allow_partial_prefix.unwrap_or(false);
    if bucket.layout.is_tree() {
        let start = bucket.key_name(&request.start_key);
        in_tree(ns, bucket, &name, &start, max, partial)
    } else {
        // As it is: its slash tells a folder from a file of the same name.
        in_flat(ns, &bucket, &name, &request.start_key, max, request.recursive).map(Found::Children)
    }
}

fn in_tree(
    ns: &Namespace<'_>,
    bucket: Bucket,
    name: &str,
    start: &str,
    max: usize,
    partial: bool,
) -> Result<Found, Failure> {
    // Asked for the top, a start chooses the level (`OzoneListStatusHelper.listStatusFSO`).
    let name = if name.is_empty() { names::parent(start).unwrap_or("") } else { name };
    if !start.is_empty() && !name.is_empty() && !is_near(name, start) {
        return Ok(Found::Children(Vec::new()));
    }
    let leaf = if name.is_empty() { None } else { Some(bucket.walk(ns, name, true)?.leaf) };
    let (folder, id, prefix) = match leaf {
        None => ("", bucket.id(), ""),
        Some(Leaf::Folder(info)) => (name, info.object_id.unwrap_or(0), ""),
        Some(Leaf::File(file)) if !partial => return Ok(Found::Children(vec![(file, false)])),
        Some(Leaf::Free | Leaf::BelowFile(_)) if !partial => {
            return Err(super::not_found(&bucket, name));
        }
        // A file is the beginning of other names, too.
        Some(Leaf::Free | Leaf::BelowFile(_) | Leaf::File(_)) => {
            let parent = names::parent(name).unwrap_or("");
            let id = if parent.is_empty() {
                Some(bucket.id())
            } else {
                match bucket.walk(ns, parent, true)?.leaf {
                    Leaf::Folder(info) => info.object_id,
                    Leaf::Free | Leaf::File(_) | Leaf::BelowFile(_) => None,
                }
            };
            let Some(id) = id else { return Ok(Found::Children(Vec::new())) };
            (parent, id, names::leaf(name))
        }
    };
    let first = first_child(folder, start);
    let below = bucket.rows_below(id);
    let row = |name: &str| [below.as_slice(), name.as_bytes()].concat();
    let (prefix, from) = (row(prefix), row(first));
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    Ok(Found::Level(Box::new(Level { bucket, folder, below, prefix, from, max })))
}

/// Whether `start` lies in the folder `name`, or beside it.
fn is_near(name: &str, start: &str) -> bool {
    let parent = names::parent(start);
    parent == Some(name) || parent == names::parent(name)
}

/// The name of the child of `folder` at which `start` lies: a start outside is before all of them.
fn first_child<'a>(folder: &str, start: &'a str) -> &'a str {
    let rest = match folder {
        "" => Some(start),
        folder => start.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
    };
    rest.and_then(|rest| rest.split('/').next()).unwrap_or("")
}

/// What lies in one folder of a tree.
struct Level {
    bucket: Bucket,
    /// What the full names of the children begin with: empty, or the folder with `/` behind it.
    folder: String,
    /// What the rows of all children begin with.
    below: Vec<u8>,
    /// What the rows asked for begin with.
    prefix: Vec<u8>,
    /// The first row asked for.
    from: Vec<u8>,
    /// Children returned at most.
    max: usize,
}

/// A row of a level.
struct Row<'a> {
    key: &'a [u8],
    value: &'a [u8],
    is_folder: bool,
}

impl Level {
    /// Shows the first rows of both tables in one order.
    fn visit(
        &self,
        ns: &Namespace<'_>,
        take: &mut dyn FnMut(Row<'_>) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        let mut folders = VecDeque::new();
        self.scan(ns, &tables::DIRECTORY, &mut |key, value| {
            folders.push_back((key.to_vec(), value.to_vec()));
            Ok(folders.len() < self.max)
        })?;
        let (mut taken, max) = (0, self.max);
        // Those before a file, or all.
        let mut folders_before =
            |key: Option<&[u8]>,
             taken: &mut usize,
             take: &mut dyn FnMut(Row<'_>) -> Result<(), DbError>| {
                let is_before = |first: &mut (Vec<u8>, _)| key.is_none_or(|key| *first.0 < *key);
                while *taken < max
                    && let Some((key, value)) = folders.pop_front_if(is_before)
                {
                    take(Row { key: &key, value: &value, is_folder: true })?;
                    *taken += 1;
                }
                Ok::<(), DbError>(())
            };
        self.scan(ns, &tables::FILE, &mut |key, value| {
            folders_before(Some(key), &mut taken, take)?;
            if taken < max {
                take(Row { key, value, is_folder: false })?;
                taken += 1;
            }
            Ok(taken < max)
        })?;
        folders_before(None, &mut taken, take)
    }

    /// Shows the rows of one table until `visit` says false.
    fn scan(
        &self,
        ns: &Namespace<'_>,
        table: &Table<impl Message + Default>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, DbError>,
    ) -> Result<(), DbError> {
        let mut broken = None;
        let from = Some(self.from.as_slice());
        ns.scan_prefix(
            table.slot,
            &self.prefix,
            from,
            &mut |key, value| match visit(key, value) {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        broken.map_or(Ok(()), Err)
    }

    /// The full name of a row's child.
    fn name_of(&self, key: &[u8]) -> String {
        format!("{}{}", self.folder, String::from_utf8_lossy(self.leaf_of(key)))
    }

    fn leaf_of<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        key.get(self.below.len()..).unwrap_or_default()
    }

    fn folder(&self, ns: &Namespace<'_>, row: &Row<'_>) -> Result<KeyInfo, DbError> {
        let folder = tables::DIRECTORY.decode(row.key, Bytes::copy_from_slice(row.value))?;
        let mut folder =
            folder_as_key(self.bucket.names(), folder, &self.name_of(row.key), ns.rules);
        // Listed, a folder has the replication of its bucket; asked for by its name, the server's.
        if let Some(default) = &self.bucket.info.default_replication_config
            && let Ok(Some(default)) = replication::of_default(default)
        {
            replication::write_to(default, &mut folder);
        }
        Ok(folder)
    }

    fn children(&self, ns: &Namespace<'_>) -> Result<Vec<Child>, Failure> {
        let mut children = Vec::new();
        self.visit(ns, &mut |row| {
            let child = if row.is_folder {
                self.folder(ns, &row)?
            } else {
                let file = tables::FILE.decode(row.key, Bytes::copy_from_slice(row.value))?;
                KeyInfo { key_name: self.name_of(row.key), ..file }
            };
            children.push((child, row.is_folder));
            Ok(())
        })?;
        Ok(children)
    }

    fn page(
        &self,
        ns: &Namespace<'_>,
        reply: &OmResponse,
        form: Form,
    ) -> Result<Box<StatusPage>, Failure> {
        let mut page = StatusPage::new(reply, form, ns.rules.block_bytes, self.folder.clone());
        self.visit(ns, &mut |row| {
            if row.is_folder {
                page.push_folder(&self.folder(ns, &row)?);
                return Ok(());
            }
            page.push_file(self.leaf_of(row.key), row.value).map_err(|source| DbError::Codec {
                table: tables::FILE.def.name,
                key: row.key.escape_ascii().to_string(),
                source,
            })
        })?;
        Ok(Box::new(page))
    }
}

fn in_flat(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
    start: &str,
    max: usize,
    recursive: bool,
) -> Result<Vec<Child>, Failure> {
    // With a start, nobody asks what the folder is (`KeyManagerImpl.listStatus`).
    if !name.is_empty() && start.is_empty() {
        match status::find(ns, bucket, name)? {
            Some((file, false)) => return Ok(vec![(file, false)]),
            Some((_, true)) => {}
            None => return Err(super::not_found(bucket, name)),
        }
    }
    let prefix = match name {
        "" => String::new(),
        name if name.ends_with('/') => name.to_owned(),
        name => format!("{name}/"),
    };
    let rows = bucket.flat_row(&prefix);
    let root = bucket.flat_row("").len();
    let mut from = bucket.flat_row(start).max(rows.clone());
    let mut children: Vec<Child> = Vec::new();
    // Every round reads up to the first row below a new folder, then jumps behind that folder.
    while children.len() < max {
        let mut next = None;
        let mut broken = None;
        ns.scan_prefix(tables::KEY.slot, &rows, Some(&from), &mut |key, value| {
            if key.len() == rows.len() {
                return ControlFlow::Continue(()); // the folder's own marker
            }
            let rest = &key[rows.len()..];
            let border = rest.iter().position(|byte| *byte == b'/');
            match tables::KEY.decode(key, value.to_vec().into()) {
                Ok(child) => match border {
                    Some(border) if border + 1 < rest.len() && !recursive => {
                        let folder = &key[root..rows.len() + border + 1];
                        let folder = String::from_utf8_lossy(folder).into_owned();
                        next = Some(key[..=rows.len() + border].to_vec());
                        children.push((status::implied_folder(child, folder), true));
                    }
                    Some(border) if border + 1 == rest.len() => {
                        next = (!recursive).then(|| key.to_vec());
                        children.push((child, true));
                    }
                    _ => children.push((child, false)),
                },
                Err(error) => broken = Some(error),
            }
            if broken.is_some() || next.is_some() || children.len() >= max {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = broken {
            return Err(error.into());
        }
        match next.and_then(|folder| ozone_db::prefix_end(&folder)) {
            Some(behind) => from = behind,
            None => break,
        }
    }
    Ok(children)
}
