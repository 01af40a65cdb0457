//! `GetAcl`.

use om_proto::ozone_obj::ObjectType;
use om_proto::{GetAclRequest, GetAclResponse, OmResponse, OzoneObj, Status};

use super::{For, Owner};
use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;

pub(crate) fn read(
    request: &GetAclRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    if let Some((volume, bucket)) = bucket_of(&request.obj) {
        let acls = match ns.bucket_row(volume, bucket) {
            Ok(info) => info.acls.clone(),
            Err(Failure::Refused(error)) if error.status == Status::BucketNotFound => {
                let message = format!("Bucket {bucket} is not found");
                return Err(Failure::new(Status::BucketNotFound, message));
            }
            Err(failure) => return Err(failure),
        };
        reply.get_acl_response = Some(Box::new(GetAclResponse { acls }));
        return Ok(Read::Reply);
    }
    let acls = match Owner::find(ns, &request.obj, For::Reading)? {
        // A prefix that nobody gave ACLs has none.
        Owner::Prefix(info) if info.object_id.is_none() => Vec::new(),
        owner => owner.acls().to_vec(),
    };
    reply.get_acl_response = Some(Box::new(GetAclResponse { acls }));
    Ok(Read::Reply)
}

/// A link answers with its own ACLs (`BucketManagerImpl.getAcl`): `--source` of the shell follows it.
fn bucket_of(object: &OzoneObj) -> Option<(&str, &str)> {
    let path = object.path.strip_prefix('/').unwrap_or(&object.path);
    let (volume, bucket) = path.split_once('/').filter(|(volume, _)| !volume.is_empty())?;
    let is_bucket = object.res_type() == ObjectType::Bucket;
    (is_bucket && !bucket.is_empty() && !bucket.contains('/')).then_some((volume, bucket))
}
