//! `GetAcl`.

use om_proto::{GetAclRequest, GetAclResponse, OmResponse};

use super::Owner;
use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;

pub(crate) fn read(
    request: &GetAclRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let acls = match Owner::find(ns, &request.obj)? {
        // A prefix that nobody gave ACLs has none.
        Owner::Prefix(info) if info.object_id.is_none() => Vec::new(),
        owner => owner.acls().to_vec(),
    };
    reply.get_acl_response = Some(Box::new(GetAclResponse { acls }));
    Ok(Read::Reply)
}
