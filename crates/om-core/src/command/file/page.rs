//! A page of `ListStatus`, put together from stored rows without decoding them.
//!
//! ```text
//!  rows ─► StatusPage ─ containers() ─► the shell asks where they are ─► encode(pipelines) ─► bytes
//! ```
//! A row differs from what a client gets in its name, which is the full one there, and in the pipelines
//! of its blocks; the rest is copied as it is.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use hdds_proto::hdds::BlockId;
use om_proto::{KeyInfo, OmResponse};
use ozone_db::CodecError;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::fields::{Fields, malformed};
use super::light;
use crate::command::Unlocated;
use crate::command::key::list::put_bytes;

/// Fields of `KeyInfo`.
const VOLUME: u32 = 1;
const BUCKET: u32 = 2;
const NAME: u32 = 3;
pub(crate) const VERSIONS: u32 = 7;
/// Volume and bucket are the first fields of a row.
const LEADING_FIELDS: usize = 2;
/// Field of `KeyLocationList`.
const BLOCKS: u32 = 2;
/// Fields of `KeyLocation`.
const BLOCK_ID: u32 = 1;
const PIPELINE: u32 = 7;

/// Which reply it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// `ListStatusResponse`.
    Full {
        /// Whether blocks get their pipelines.
        locate: bool,
    },
    /// `ListStatusLightResponse`.
    Light,
}

/// A page that lacks pipelines.
#[derive(Debug)]
pub(crate) struct StatusPage {
    form: Form,
    block_bytes: u64,
    /// What the full names of files begin with: empty, or a folder with `/` behind it.
    folder: String,
    /// The reply around the page, encoded.
    reply: Vec<u8>,
    /// Names and rows, one behind the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    containers: BTreeSet<i64>,
}

#[derive(Debug)]
struct Entry {
    /// Where the name ends in the bytes of the page; empty where the row has the full one.
    name: usize,
    /// Where the row ends.
    row: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Folder,
    /// A file whose row holds its name in this range of its bytes.
    File {
        name: Range<usize>,
        has_blocks: bool,
    },
}

/// The pipeline of a container, encoded.
pub type Pipelines<'a> = &'a dyn Fn(i64) -> Option<Bytes>;

impl StatusPage {
    /// An empty page of children of `folder`, whose full name ends in `/` if it is not empty.
    pub(crate) fn new(reply: &OmResponse, form: Form, block_bytes: u64, folder: String) -> Self {
        let reply = reply.encode_to_vec();
        let (bytes, entries, containers) = Default::default();
        Self { form, block_bytes, folder, reply, bytes, entries, containers }
    }

    /// A folder in the shape of a key, under its full name.
    pub(crate) fn push_folder(&mut self, folder: &KeyInfo) {
        let name = self.bytes.len();
        // Writing to a Vec does not fail.
        let _ = folder.encode(&mut self.bytes);
        self.entries.push(Entry { name, row: self.bytes.len(), kind: Kind::Folder });
    }

    /// The row of a file and its name in the folder.
    ///
    /// # Errors
    /// The row is no `KeyInfo`.
    pub(crate) fn push_file(&mut self, leaf: &[u8], row: &[u8]) -> Result<(), CodecError> {
        let (mut name, mut has_blocks) = (None, false);
        let locate = self.form == (Form::Full { locate: true });
        let mut fields = Fields::of(row);
        while let Some(field) = fields.next() {
            let field = field?;
            if field.number == NAME {
                let end = row.len() - fields.rest().len();
                name = Some(end - field.whole.len()..end);
            } else if field.number == VERSIONS && locate {
                has_blocks |= containers_of(field.bytes()?, &mut self.containers)?;
            }
        }
        let name_field = name.ok_or_else(|| CodecError("a key has no name".to_owned()))?;
        self.bytes.extend_from_slice(self.folder.as_bytes());
        self.bytes.extend_from_slice(leaf);
        let name = self.bytes.len();
        self.bytes.extend_from_slice(row);
        let kind = Kind::File { name: name_field, has_blocks };
        self.entries.push(Entry { name, row: self.bytes.len(), kind });
        Ok(())
    }
}

impl Unlocated for StatusPage {
    fn containers(&self) -> &BTreeSet<i64> {
        &self.containers
    }

    fn encode(&self, pipelines: Pipelines<'_>) -> Result<Bytes, CodecError> {
        let (field, of_status): (u32, Numbers) = match self.form {
            Form::Full { .. } => (74, (2, 3, 4)),
            Form::Light => (129, (3, 4, 5)),
        };
        let mut page = Vec::with_capacity(self.bytes.len() + self.entries.len() * 32);
        let (mut status, mut key, mut begin) = (Vec::new(), Vec::new(), 0);
        for Entry { name, row, kind } in &self.entries {
            let (name, row) = (&self.bytes[begin..*name], &self.bytes[*name..*row]);
            begin += name.len() + row.len();
            status.clear();
            key.clear();
            match (self.form, kind) {
                (Form::Full { .. }, Kind::Folder) => put_bytes(&mut status, of_status.0, row),
                (Form::Full { .. }, Kind::File { name: at, has_blocks }) => {
                    if *has_blocks {
                        put_key(&mut key, row, name, pipelines)?;
                    } else {
                        key.extend_from_slice(&row[..at.start]);
                        put_bytes(&mut key, NAME, name);
                        key.extend_from_slice(&row[at.end..]);
                    }
                    put_bytes(&mut status, of_status.0, &key);
                }
                (Form::Light, kind) => {
                    for field in Fields::of(row).take(LEADING_FIELDS) {
                        let field = field?;
                        if [VOLUME, BUCKET].contains(&field.number) {
                            put_bytes(&mut status, field.number, field.bytes()?);
                        }
                    }
                    let name = matches!(kind, Kind::File { .. }).then_some(name);
                    light::put_row(&mut status, of_status.0, row, name)?;
                }
            }
            put_number(&mut status, of_status.1, self.block_bytes);
            put_number(&mut status, of_status.2, u64::from(matches!(kind, Kind::Folder)));
            put_bytes(&mut page, 1, &status);
        }
        let mut encoded = Vec::with_capacity(self.reply.len() + page.len() + 16);
        encoded.extend_from_slice(&self.reply);
        put_bytes(&mut encoded, field, &page);
        Ok(encoded.into())
    }
}

/// Fields of a status: the key, the block size, and whether it is a folder.
type Numbers = (u32, u32, u32);

/// Adds the containers of a version's blocks; says whether there are any.
pub(crate) fn containers_of(version: &[u8], to: &mut BTreeSet<i64>) -> Result<bool, CodecError> {
    let mut any = false;
    for block in Fields::of(version) {
        let block = block?;
        if block.number == BLOCKS {
            any = true;
            to.insert(container_of(block.bytes()?)?);
        }
    }
    Ok(any)
}

/// Copies a row, with another name and with pipelines.
pub(crate) fn put_key(
    to: &mut Vec<u8>,
    row: &[u8],
    name: &[u8],
    pipelines: Pipelines<'_>,
) -> Result<(), CodecError> {
    for field in Fields::of(row) {
        let field = field?;
        match field.number {
            NAME => put_bytes(to, NAME, name),
            VERSIONS => {
                let mut version = Vec::with_capacity(field.whole.len());
                for inner in Fields::of(field.bytes()?) {
                    let inner = inner?;
                    if inner.number == BLOCKS {
                        put_block(&mut version, inner.bytes()?, pipelines)?;
                    } else {
                        version.extend_from_slice(inner.whole);
                    }
                }
                put_bytes(to, VERSIONS, &version);
            }
            _ => to.extend_from_slice(field.whole),
        }
    }
    Ok(())
}

fn put_block(to: &mut Vec<u8>, block: &[u8], pipelines: Pipelines<'_>) -> Result<(), CodecError> {
    let Some(pipeline) = pipelines(container_of(block)?) else {
        put_bytes(to, BLOCKS, block);
        return Ok(());
    };
    let mut located = Vec::with_capacity(block.len() + pipeline.len() + 8);
    for field in Fields::of(block) {
        let field = field?;
        if field.number != PIPELINE {
            located.extend_from_slice(field.whole);
        }
    }
    put_bytes(&mut located, PIPELINE, &pipeline);
    put_bytes(to, BLOCKS, &located);
    Ok(())
}

fn container_of(block: &[u8]) -> Result<i64, CodecError> {
    for field in Fields::of(block) {
        let field = field?;
        if field.number == BLOCK_ID {
            let id = BlockId::decode(field.bytes()?).map_err(|error| malformed(&error))?;
            return Ok(id.container_block_id.container_id);
        }
    }
    Err(CodecError("a block has no id".to_owned()))
}

fn put_number(to: &mut Vec<u8>, field: u32, number: u64) {
    encode_key(field, WireType::Varint, to);
    encode_varint(number, to);
}

#[cfg(test)]
mod tests {
    use hdds_proto::hdds::{ContainerBlockId, Pipeline};
    use om_proto::KeyLocation;

    use super::*;

    fn file(name: &str, containers: &[i64]) -> KeyInfo {
        let block = |container| KeyLocation {
            block_id: BlockId {
                container_block_id: ContainerBlockId { container_id: container, local_id: 7 },
                block_commit_sequence_id: Some(9),
            },
            length: 5,
            pipeline: (container == 3).then(Pipeline::default),
            ..KeyLocation::default()
        };
        KeyInfo {
            volume_name: "v".into(),
            bucket_name: "b".into(),
            key_name: name.into(),
            data_size: 70_000,
            key_location_list: vec![crate::key::location_list(
                0,
                containers.iter().copied().map(block).collect(),
            )],
            owner_name: Some("me".into()),
            is_file: Some(true),
            ..KeyInfo::default()
        }
    }

    fn page(form: Form) -> StatusPage {
        let reply = OmResponse { message: Some("m".into()), ..OmResponse::default() };
        let mut page = StatusPage::new(&reply, form, 256, "top/".into());
        page.push_folder(&file("top/d", &[]));
        page.push_file(b"f", &file("f", &[1, 2, 3]).encode_to_vec()).unwrap();
        page.push_file(b"g", &file("g", &[]).encode_to_vec()).unwrap();
        page
    }

    #[test]
    fn a_page_says_the_same_as_its_decoded_rows_with_full_names_and_pipelines() {
        let page = page(Form::Full { locate: true });
        assert_eq!(page.containers().iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        let members =
            |leader: &str| Pipeline { leader_id: Some(leader.to_owned()), ..Pipeline::default() };
        let known = |container: i64| {
            (container != 2).then(|| Bytes::from(members(&container.to_string()).encode_to_vec()))
        };
        let bytes = page.encode(&known).unwrap();
        let reply = OmResponse::decode(bytes).unwrap();
        assert_eq!(reply.message.as_deref(), Some("m"));
        let statuses = reply.list_status_response.unwrap().statuses;
        let mut expected = file("top/f", &[1, 2, 3]);
        let blocks = &mut expected.key_location_list[0].key_locations;
        blocks[0].pipeline = Some(members("1"));
        blocks[2].pipeline = Some(members("3"));
        let keys: Vec<KeyInfo> =
            statuses.iter().map(|status| status.key_info.clone().unwrap()).collect();
        assert_eq!(keys, [file("top/d", &[]), expected, file("top/g", &[])]);
        let folders: Vec<_> = statuses.iter().map(|s| (s.is_directory, s.block_size)).collect();
        assert_eq!(folders[0], (Some(true), Some(256)));
        assert_eq!(folders[1], (Some(false), Some(256)));
    }

    #[test]
    fn a_light_page_has_no_containers_and_the_fields_of_the_decoded_rows() {
        let page = page(Form::Light);
        assert!(page.containers().is_empty());
        let reply = OmResponse::decode(page.encode(&|_| None).unwrap()).unwrap();
        let statuses = reply.list_status_light_response.unwrap().statuses;
        assert_eq!(statuses.len(), 3);
        assert_eq!(statuses[1].volume_name.as_deref(), Some("v"));
        assert_eq!(statuses[1].bucket_name.as_deref(), Some("b"));
        assert_eq!(statuses[1].basic_key_info, Some(light::of_key(file("top/f", &[1]))));
        assert_eq!(statuses[0].basic_key_info, Some(light::of_key(file("top/d", &[]))));
        assert_eq!((statuses[0].is_directory, statuses[2].is_directory), (Some(true), Some(false)));
    }

    #[test]
    fn a_torn_row_is_an_error() {
        let row = file("f", &[1]).encode_to_vec();
        let mut page = StatusPage::new(&OmResponse::default(), Form::Light, 0, String::new());
        assert!(page.push_file(b"f", &row[..row.len() - 1]).is_err());
        let mut page =
            StatusPage::new(&OmResponse::default(), Form::Full { locate: true }, 0, String::new());
        assert!(page.push_file(b"f", &[58, 2, 18, 9]).is_err());
    }
}
