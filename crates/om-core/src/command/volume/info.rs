//! `InfoVolume`.

use std::sync::Arc;

use om_proto::{InfoVolumeRequest, InfoVolumeResponse, OmResponse};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;

pub(crate) fn read(
    request: &InfoVolumeRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let volume_info = Some(Arc::unwrap_or_clone(ns.volume(&request.volume_name)?));
    reply.info_volume_response = Some(Box::new(InfoVolumeResponse { volume_info }));
    Ok(Read::Reply)
}
