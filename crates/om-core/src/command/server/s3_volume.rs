//! `GetS3VolumeContext`: the volume that S3 buckets live in.

use std::sync::Arc;

use om_proto::{GetS3VolumeContextResponse, OmResponse};

use crate::command::{Caller, Read};
use crate::error::Failure;
use crate::namespace::Namespace;

pub(crate) fn read(
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let response = GetS3VolumeContextResponse {
        volume_info: Some(Arc::unwrap_or_clone(ns.volume(&ns.rules.s3_volume)?)),
        user_principal: Some(caller.user.to_owned()),
    };
    reply.get_s3_volume_context_response = Some(Box::new(response));
    Ok(Read::Reply)
}
