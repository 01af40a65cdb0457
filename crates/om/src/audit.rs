//! What the audit log says about a request (`OMAction`, `Auditable.toAuditMap`).

use hadoop_rpc::server::{CallContext, RpcError};
use om_proto::{KeyArgs, OmRequest, OmResponse, Type};
use ozone_daemon::audit::{self, Entry};
use prost::Message;

use crate::metrics;

/// Operations that Ozone's audit log calls otherwise than their request.
const ACTIONS: [(Type, &str); 20] = [
    (Type::InfoVolume, "READ_VOLUME"),
    (Type::InfoBucket, "READ_BUCKET"),
    (Type::SetVolumeProperty, "UPDATE_VOLUME"),
    (Type::SetBucketProperty, "UPDATE_BUCKET"),
    (Type::ListVolume, "LIST_VOLUMES"),
    (Type::CreateKey, "ALLOCATE_KEY"),
    (Type::LookupKey, "READ_KEY"),
    (Type::GetKeyInfo, "READ_KEY"),
    (Type::ListKeysLight, "LIST_KEYS"),
    (Type::ListStatusLight, "LIST_STATUS"),
    (Type::ServiceList, "GET_SERVICE_LIST"),
    (Type::InitiateMultiPartUpload, "INITIATE_MULTIPART_UPLOAD"),
    (Type::CommitMultiPartUpload, "COMMIT_MULTIPART_UPLOAD_PARTKEY"),
    (Type::CompleteMultiPartUpload, "COMPLETE_MULTIPART_UPLOAD"),
    (Type::AbortMultiPartUpload, "ABORT_MULTIPART_UPLOAD"),
    (Type::ListMultiPartUploadParts, "LIST_MULTIPART_UPLOAD_PARTS"),
    (Type::CheckVolumeAccess, "CHECK_VOLUME_ACCESS"),
    (Type::Prepare, "UPGRADE_PREPARE"),
    (Type::CancelPrepare, "UPGRADE_CANCEL"),
    (Type::FinalizeUpgrade, "UPGRADE_FINALIZE"),
];

/// A request before it is carried out: its outcome is not known yet.
pub(crate) fn begin(context: &CallContext, request: &OmRequest) -> Entry {
    Entry {
        user: context.user.clone(),
        ip: context.remote.ip().to_canonical().to_string(),
        operation: action(request.cmd_type),
        parameters: parameters(request),
        failure: None,
    }
}

/// With its outcome.
pub(crate) fn end(mut entry: Entry, answer: &Result<bytes::Bytes, RpcError>) -> Entry {
    entry.failure = match answer {
        Err(error) => Some(error.to_string()),
        Ok(reply) if metrics::is_refusal(reply) => {
            let reply = OmResponse::decode(reply.clone()).unwrap_or_default();
            let message = reply.message.as_deref().unwrap_or_default();
            Some(format!("{} {message}", reply.status().as_str_name()))
        }
        Ok(_) => None,
    };
    entry
}

/// `CreateVolume` → `CREATE_VOLUME`, with the exceptions above.
fn action(kind: i32) -> String {
    let Ok(kind) = Type::try_from(kind) else { return format!("TYPE_{kind}") };
    if let Some((_, action)) = ACTIONS.iter().find(|(other, _)| *other == kind) {
        return (*action).to_owned();
    }
    audit::operation(kind.as_str_name())
}

fn parameters(request: &OmRequest) -> String {
    let volume = |name: &str| format!("volume={name}");
    let bucket = |volume: &str, bucket: &str| format!("volume={volume}, bucket={bucket}");
    if let Some(args) = key_args(request) {
        let mut text = bucket(&args.volume_name, &args.bucket_name);
        text.push_str(&format!(", key={}", args.key_name));
        if let Some(size) = args.data_size {
            text.push_str(&format!(", dataSize={size}"));
        }
        if let Some(rename) = &request.rename_key_request {
            text.push_str(&format!(", toKeyName={}", rename.to_key_name));
        }
        return text;
    }
    let r = request;
    let buckets = [
        r.create_bucket_request
            .as_ref()
            .map(|q| (q.bucket_info.volume_name.as_str(), q.bucket_info.bucket_name.as_str())),
        r.info_bucket_request.as_ref().map(|q| (q.volume_name.as_str(), q.bucket_name.as_str())),
        r.delete_bucket_request.as_ref().map(|q| (q.volume_name.as_str(), q.bucket_name.as_str())),
        r.list_keys_request.as_ref().map(|q| (q.volume_name.as_str(), q.bucket_name.as_str())),
        r.set_bucket_property_request.as_ref().and_then(|q| {
            let args = q.bucket_args.as_ref()?;
            Some((args.volume_name.as_str(), args.bucket_name.as_str()))
        }),
        r.delete_keys_request.as_ref().and_then(|q| {
            let args = q.delete_keys.as_ref()?;
            Some((args.volume_name.as_str(), args.bucket_name.as_str()))
        }),
    ];
    if let Some((volume, name)) = buckets.into_iter().flatten().next() {
        return bucket(volume, name);
    }
    let volumes = [
        r.create_volume_request.as_ref().map(|q| q.volume_info.volume.as_str()),
        r.info_volume_request.as_ref().map(|q| q.volume_name.as_str()),
        r.delete_volume_request.as_ref().map(|q| q.volume_name.as_str()),
        r.set_volume_property_request.as_ref().map(|q| q.volume_name.as_str()),
        r.list_buckets_request.as_ref().map(|q| q.volume_name.as_str()),
    ];
    volumes.into_iter().flatten().next().map(volume).unwrap_or_default()
}

fn key_args(request: &OmRequest) -> Option<&KeyArgs> {
    let r = request;
    let found = [
        r.create_key_request.as_ref().map(|q| &q.key_args),
        r.commit_key_request.as_ref().map(|q| &q.key_args),
        r.lookup_key_request.as_ref().map(|q| &q.key_args),
        r.get_key_info_request.as_ref().map(|q| &q.key_args),
        r.delete_key_request.as_ref().map(|q| &q.key_args),
        r.rename_key_request.as_ref().map(|q| &q.key_args),
        r.allocate_block_request.as_ref().map(|q| &q.key_args),
        r.create_file_request.as_ref().map(|q| &q.key_args),
        r.create_directory_request.as_ref().map(|q| &q.key_args),
        r.get_file_status_request.as_ref().map(|q| &q.key_args),
        r.lookup_file_request.as_ref().map(|q| &q.key_args),
        r.list_status_request.as_ref().map(|q| &q.key_args),
    ];
    found.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use om_proto::InfoBucketRequest;

    use super::*;

    #[test]
    fn operations_have_the_names_of_ozones_audit_log() {
        assert_eq!(action(Type::CreateVolume.into()), "CREATE_VOLUME");
        assert_eq!(action(Type::CreateKey.into()), "ALLOCATE_KEY");
        assert_eq!(action(Type::CommitKey.into()), "COMMIT_KEY");
        assert_eq!(action(-7), "TYPE_-7");
    }

    #[test]
    fn a_request_tells_what_it_is_about() {
        let request = OmRequest {
            cmd_type: Type::InfoBucket.into(),
            info_bucket_request: Some(Box::new(InfoBucketRequest {
                volume_name: "v".to_owned(),
                bucket_name: "b".to_owned(),
            })),
            ..OmRequest::default()
        };
        assert_eq!(parameters(&request), "volume=v, bucket=b");
    }
}
