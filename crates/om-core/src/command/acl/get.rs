//! `GetAcl`.

use om_proto::ozone_obj::ObjectType;
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
    // Nothing sets ACLs of prefixes yet: each has none.
    let acls = if request.obj.res_type() == ObjectType::Prefix {
        Vec::new()
    } else {
        Owner::find(ns, &request.obj)?.acls().to_vec()
    };
    reply.get_acl_response = Some(Box::new(GetAclResponse { acls }));
    Ok(Read::Reply)
}
