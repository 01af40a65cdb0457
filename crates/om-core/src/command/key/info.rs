//! `GetKeyInfo`: a key with its blocks; under S3 also the volume that it is in.

use std::sync::Arc;

use om_proto::{GetKeyInfoRequest, GetKeyInfoResponse, OmResponse};

use super::lookup;
use super::stored::Place;
use crate::command::{Caller, Read};
use crate::error::Failure;
use crate::namespace::Namespace;

/// `OMResponse.getKeyInfoResponse.keyInfo`.
const PLACE: Place = Place { response: 111, key: 1 };

pub(crate) fn read(
    request: &GetKeyInfoRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let mut response = GetKeyInfoResponse::default();
    if request.assume_s3_context.unwrap_or(false) {
        let mut args = request.key_args.clone();
        args.volume_name.clone_from(&ns.rules.s3_volume);
        response.volume_info = Some(Arc::unwrap_or_clone(ns.volume(&args.volume_name)?));
        response.user_principal = Some(caller.user.to_owned());
        response.key_info = Some(lookup::find(&args, ns)?);
    } else if let Some(found) = lookup::stored(&request.key_args, ns, PLACE, reply, &response)? {
        return Ok(Read::Stored(found));
    } else {
        response.key_info = Some(lookup::find(&request.key_args, ns)?);
    }
    reply.get_key_info_response = Some(Box::new(response));
    Ok(lookup::locate(&request.key_args))
}
