//! `InfoBucket`.

use std::sync::Arc;

use om_proto::{InfoBucketRequest, InfoBucketResponse, OmResponse};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;

pub(crate) fn read(
    request: &InfoBucketRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let row = ns.bucket_row(&request.volume_name, &request.bucket_name)?;
    let bucket_info = Some(super::enriched(ns, Arc::unwrap_or_clone(row))?);
    reply.info_bucket_response = Some(Box::new(InfoBucketResponse { bucket_info }));
    Ok(Read::Reply)
}
