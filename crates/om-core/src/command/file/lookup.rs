//! `LookupFile`: a file with its blocks.

use om_proto::{LookupFileRequest, LookupFileResponse, OmResponse, Status};

use crate::command::Read;
use crate::command::key::lookup;
use crate::command::key::stored::{Place, StoredKey};
use crate::error::Failure;
use crate::namespace::Namespace;

/// `OMResponse.lookupFileResponse.keyInfo`.
const PLACE: Place = Place { response: 73, key: 1 };

pub(crate) fn read(
    request: &LookupFileRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
    is_old: bool,
) -> Result<Read, Failure> {
    let args = &request.key_args;
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name);
    let verb = if bucket.layout.is_tree() { "read from" } else { "write to" };
    let not_a_file = || Failure::new(Status::NotAFile, format!("Can not {verb} directory: {name}"));
    if name.is_empty() {
        return Err(not_a_file());
    }
    if !is_old {
        // Flat layouts say what the row says, which after a multipart upload is not a file.
        let as_file = bucket.layout.is_tree();
        let (at, response) = ((ns, &bucket, &*name), LookupFileResponse::default());
        if let Some(found) = StoredKey::find(args, at, as_file, PLACE, reply, &response)? {
            return Ok(Read::Stored(found));
        }
    }
    let key_info = match super::status::find(ns, &bucket, &name)? {
        Some((key, false)) => Some(key),
        Some((_, true)) => return Err(not_a_file()),
        None => return Err(super::not_found(&bucket, &name)),
    };
    reply.lookup_file_response = Some(Box::new(LookupFileResponse { key_info }));
    Ok(lookup::locate(args))
}
