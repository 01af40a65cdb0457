//! `LookupKey`: a key with its blocks, for older clients.

use om_proto::{KeyArgs, KeyInfo, LookupKeyRequest, LookupKeyResponse, OmResponse};
use prost::Message;

use super::stored::{Place, StoredKey};
use crate::command::Read;
use crate::error::Failure;
use crate::layout::Leaf;
use crate::namespace::Namespace;

/// `OMResponse.lookupKeyResponse.keyInfo`.
const PLACE: Place = Place { response: 32, key: 2 };

pub(crate) fn read(
    request: &LookupKeyRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
    is_old: bool,
) -> Result<Read, Failure> {
    let mut response = LookupKeyResponse::default();
    if !is_old && let Some(found) = stored(&request.key_args, ns, PLACE, reply, &response)? {
        return Ok(Read::Stored(found));
    }
    response.key_info = Some(find(&request.key_args, ns)?);
    reply.lookup_key_response = Some(Box::new(response));
    Ok(locate(&request.key_args))
}

/// What [`find`] would find, not decoded, if it is a plain file.
pub(crate) fn stored(
    args: &KeyArgs,
    ns: &Namespace<'_>,
    place: Place,
    reply: &OmResponse,
    response: &impl Message,
) -> Result<Option<Box<StoredKey>>, Failure> {
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name);
    StoredKey::find(args, (ns, &bucket, &name), true, place, reply, response)
}

/// Pipelines unless the caller only wants to know about the key.
pub(crate) fn locate(args: &KeyArgs) -> Read {
    if args.head_op.unwrap_or(false) { Read::Reply } else { Read::Locate }
}

/// The key that the arguments name; a folder of a tree counts, with `/` behind its name.
pub(crate) fn find(args: &KeyArgs, ns: &Namespace<'_>) -> Result<KeyInfo, Failure> {
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    // Refuses names that no key can have, unlike lookups of files.
    let name = bucket.new_key_name(&args.key_name)?;
    let mut key = match bucket.walk(ns, &name, false)?.leaf {
        Leaf::File(mut key) => {
            key.is_file = Some(true);
            key
        }
        Leaf::Folder(mut folder) if bucket.layout.is_tree() => {
            folder.key_name.push('/');
            folder
        }
        Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => {
            return Err(super::not_found(&name));
        }
    };
    if args.latest_version_location.unwrap_or(false) && key.key_location_list.len() > 1 {
        key.key_location_list.drain(..key.key_location_list.len() - 1);
    }
    if let Some(part) = args.multipart_number.filter(|part| *part > 0) {
        only_part(&mut key, part);
    }
    Ok(key)
}

/// A GET of one part: its blocks, and their length as size.
fn only_part(key: &mut KeyInfo, part: u32) {
    if !key.key_location_list.last().is_some_and(|list| list.is_multipart_key.unwrap_or(false)) {
        return;
    }
    for list in &mut key.key_location_list {
        list.key_locations.retain(|block| block.part_number == Some(part.cast_signed()));
    }
    key.data_size = crate::key::blocks(key).map(|block| block.length).sum();
}
