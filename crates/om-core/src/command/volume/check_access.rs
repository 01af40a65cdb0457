//! `CheckVolumeAccess`: with ACLs off whoever asks may.

use om_proto::{CheckVolumeAccessRequest, CheckVolumeAccessResponse, OmResponse};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;

pub(crate) fn read(
    request: &CheckVolumeAccessRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    ns.volume(&request.volume_name)?;
    reply.check_volume_access_response = Some(Box::new(CheckVolumeAccessResponse::default()));
    Ok(Read::Reply)
}
