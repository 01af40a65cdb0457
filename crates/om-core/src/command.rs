//! Every request kind: one file per verb, the phases of a write in one place.
//!
//! ```text
//!  prepare  leader   names checked, links followed, time and ids stamped; says what blocks it needs
//!  provide  leader   the blocks that the shell got from SCM
//!  apply    replicas, pure: refuse or edit, then answer
//!  read     leader, pure: from unflushed rows and the store
//! ```
//! A handler has neither lock, span, metric nor audit line: the dispatcher and the shell own those.

pub mod acl;
pub mod bucket;
pub mod file;
pub mod key;
#[expect(deprecated, reason = "the field of the parts is where 2.2.0 keeps them")]
pub mod multipart;
mod old_clients;
pub mod server;
pub mod volume;

use std::sync::Arc;

use std::collections::BTreeSet;

use bytes::Bytes;
use hdds_proto::hdds::ExcludeListProto;
use hdds_types::ReplicationConfig;
use om_proto::{KeyInfo, KeyLocation, OmRequest, OmResponse, OzoneAclInfo, Status, Type};
use ozone_db::{CodecError, DbError};

use crate::cache::Change;
use crate::error::{Failure, OmError};
use crate::namespace::{At, Namespace};
use crate::rights;

/// Who asks, when, and the one id that the request may use: stamped by the leader.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Short name of the user.
    pub user: &'a str,
    /// The groups that this host knows.
    pub groups: &'a dyn Groups,
    /// Milliseconds since 1970.
    pub now: u64,
    /// `UniqueId.next()`: becomes the client id of an open key.
    pub unique_id: u64,
    /// Draws random bytes, for ids and secrets that the leader puts into the request.
    pub random: fn() -> [u8; 32],
}

impl Caller<'_> {
    /// What the caller and his primary group get on what he makes.
    pub(crate) fn acls(&self) -> impl Iterator<Item = OzoneAclInfo> {
        [Some(crate::acl::of_user(self.user)), self.group_acl(self.user)].into_iter().flatten()
    }

    /// What the primary group of a user gets on what is his; nothing if the host does not know him.
    pub(crate) fn group_acl(&self, user: &str) -> Option<OzoneAclInfo> {
        self.groups.primary(user).map(|group| crate::acl::of_group(&group))
    }
}

/// Users and their groups, as the host of the leader knows them.
pub trait Groups: Sync {
    /// The primary group of a user.
    fn primary(&self, user: &str) -> Option<Arc<str>>;

    /// Whether a user is in a group, be it his primary one or not.
    fn include(&self, user: &str, group: &str) -> bool {
        self.primary(user).is_some_and(|primary| *primary == *group)
    }
}

/// Blocks that a request needs before it can be logged.
#[derive(Clone, PartialEq, Debug)]
pub struct BlocksWanted {
    /// How many.
    pub count: usize,
    /// For which replication.
    pub replication: ReplicationConfig,
    /// What the client had trouble with.
    pub exclude: ExcludeListProto,
}

/// A request that goes through the log.
pub trait Write {
    /// On the leader: refuses early, and stamps what apply must not find out by itself.
    ///
    /// # Errors
    /// The answer to the client; nothing is logged.
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure>;

    /// Takes the blocks that [`Self::prepare`] asked for.
    fn provide(&mut self, blocks: Vec<KeyLocation>) {
        drop(blocks);
    }

    /// On every replica: refuses or edits, and fills the reply.
    ///
    /// # Errors
    /// A refusal becomes the reply; a failing store stops the replica.
    fn apply(
        self,
        at: At,
        user: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure>;
}

/// The answer to a query.
#[derive(Debug)]
pub enum Answer {
    /// A message; the pipelines of its blocks are to be filled in if `locate`.
    Message {
        /// The reply.
        reply: Box<OmResponse>,
        /// Whether blocks need their pipelines.
        locate: bool,
    },
    /// A reply that was encoded on the way.
    Encoded(Bytes),
    /// A reply to be encoded once the pipelines of its containers are known.
    Stored(Box<dyn Unlocated>),
}

/// A reply put together from stored rows, which lacks the pipelines of their blocks.
pub trait Unlocated: std::fmt::Debug + Send {
    /// The containers whose pipelines it needs.
    fn containers(&self) -> &BTreeSet<i64>;

    /// The whole reply. `pipelines` gives the encoded pipeline of a container; blocks of one that it
    /// does not know get none.
    ///
    /// # Errors
    /// A row is malformed inside.
    fn encode(&self, pipelines: file::page::Pipelines<'_>) -> Result<Bytes, CodecError>;
}

impl Answer {
    fn plain(reply: Box<OmResponse>) -> Self {
        Self::Message { reply, locate: false }
    }
}

/// The requests that go through the log, with their fields.
macro_rules! writes {
    ($with:ident) => {
        $with! {
            CreateVolume create_volume_request,
            SetVolumeProperty set_volume_property_request,
            DeleteVolume delete_volume_request,
            CreateBucket create_bucket_request,
            SetBucketProperty set_bucket_property_request,
            DeleteBucket delete_bucket_request,
            CreateKey create_key_request,
            AllocateBlock allocate_block_request,
            CommitKey commit_key_request,
            RenameKey rename_key_request,
            RenameKeys rename_keys_request,
            DeleteKey delete_key_request,
            DeleteKeys delete_keys_request,
            PurgeKeys purge_keys_request,
            DeleteOpenKeys delete_open_keys_request,
            CreateFile create_file_request,
            CreateDirectory create_directory_request,
            PurgeDirectories purge_directories_request,
            SetTimes set_times_request,
            RecoverLease recover_lease_request,
            InitiateMultiPartUpload initiate_multi_part_upload_request,
            CommitMultiPartUpload commit_multi_part_upload_request,
            CompleteMultiPartUpload complete_multi_part_upload_request,
            AbortMultiPartUpload abort_multi_part_upload_request,
            AbortExpiredMultiPartUploads multipart_uploads_expired_abort_request,
            AddAcl add_acl_request,
            RemoveAcl remove_acl_request,
            SetAcl set_acl_request,
            PutObjectTagging put_object_tagging_request,
            DeleteObjectTagging delete_object_tagging_request,
            EchoRpc echo_rpc_request,
            SetS3Secret set_s3_secret_request,
            RevokeS3Secret revoke_s3_secret_request,
            QuotaRepair quota_repair_request,
            Prepare prepare_request,
            CancelPrepare cancel_prepare_request,
            FinalizeUpgrade finalize_upgrade_request,
        }
    };
}

/// Whether a request is served without the log (`OmUtils.isReadOnly`).
pub fn is_read(request: &OmRequest) -> bool {
    match Type::try_from(request.cmd_type) {
        Ok(Type::EchoRpc) => {
            request.echo_rpc_request.as_ref().is_none_or(|echo| echo.read_only.unwrap_or(true))
        }
        Ok(kind) => READS.contains(&kind),
        Err(_) => false,
    }
}

/// Requests that are answered here without the log.
const READS: [Type; 42] = [
    Type::CheckVolumeAccess,
    Type::InfoVolume,
    Type::ListVolume,
    Type::InfoBucket,
    Type::ListBuckets,
    Type::LookupKey,
    Type::GetKeyInfo,
    Type::ListKeys,
    Type::ListKeysLight,
    Type::GetFileStatus,
    Type::LookupFile,
    Type::ListStatus,
    Type::ListStatusLight,
    Type::ServiceList,
    Type::GetS3VolumeContext,
    Type::PrepareStatus,
    Type::FinalizeUpgradeProgress,
    Type::GetAcl,
    Type::GetObjectTagging,
    Type::ListMultipartUploads,
    Type::ListMultiPartUploadParts,
    Type::ListOpenFiles,
    Type::GetQuotaRepairStatus,
    Type::StartQuotaRepair,
    Type::ListTenant,
    Type::ListTrash,
    Type::DbUpdates,
    // What has no effect on an installation as this one is answered without the log, too.
    Type::GetDelegationToken,
    Type::RenewDelegationToken,
    Type::CancelDelegationToken,
    Type::TransferLeadership,
    Type::TenantGetUserInfo,
    Type::TenantListUser,
    Type::CreateTenant,
    Type::DeleteTenant,
    Type::TenantAssignUserAccessId,
    Type::TenantRevokeUserAccessId,
    Type::TenantAssignAdmin,
    Type::TenantRevokeAdmin,
    Type::RangerBgSync,
    Type::SetRangerServiceVersion,
    Type::SetSafeMode,
];

/// A reply that says OK so far.
pub fn reply_to(request: &OmRequest) -> Box<OmResponse> {
    Box::new(OmResponse {
        cmd_type: request.cmd_type,
        trace_id: request.trace_id.clone(),
        success: Some(true),
        status: Status::Ok.into(),
        ..OmResponse::default()
    })
}

/// Turns a reply into a refusal.
pub fn refuse(reply: &mut OmResponse, error: OmError) {
    reply.success = Some(false);
    reply.status = error.status.into();
    reply.message = error.message;
}

/// See [`Write::prepare`].
///
/// # Errors
/// See [`Write::prepare`]; INVALID_REQUEST where the request has no body,
/// NOT_SUPPORTED_OPERATION for kinds that are not served, PERMISSION_DENIED for what the caller may
/// not do.
pub fn prepare(
    request: &mut OmRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<Option<BlocksWanted>, Failure> {
    if old_clients::is_old(request) {
        old_clients::check_write(request, ns)?;
    }
    rights::check_links(request, ns, caller)?;
    let wanted = prepare_one(request, ns, caller)?;
    rights::check(request, ns, caller)?;
    Ok(wanted)
}

fn prepare_one(
    request: &mut OmRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<Option<BlocksWanted>, Failure> {
    if request.cmd_type == i32::from(Type::GetS3Secret) {
        let name = Type::GetS3Secret.as_str_name();
        let get = body(request.get_s3_secret_request.as_deref_mut(), name)?;
        if server::s3_secret::prepare_get(get, ns, caller)? {
            let drawn = server::s3_secret::draw(caller, &get.kerberos_id);
            request.update_get_s3_secret_request = Some(Box::new(drawn));
        }
        return Ok(None);
    }
    macro_rules! prepare_one {
        ($($kind:ident $field:ident,)*) => {
            match Type::try_from(request.cmd_type) {
                $(Ok(Type::$kind) => body(request.$field.as_deref_mut(), stringify!($kind))?
                    .prepare(ns, caller),)*
                other => Err(unsupported(other.ok(), request.cmd_type).into()),
            }
        };
    }
    writes!(prepare_one)
}

/// See [`Write::provide`].
pub fn provide(request: &mut OmRequest, blocks: Vec<KeyLocation>) {
    macro_rules! provide_one {
        ($($kind:ident $field:ident,)*) => {
            match Type::try_from(request.cmd_type) {
                $(Ok(Type::$kind) => {
                    if let Some(body) = request.$field.as_deref_mut() {
                        body.provide(blocks);
                    }
                })*
                _ => {}
            }
        };
    }
    writes!(provide_one);
}

/// Applies one logged request: the reply, and the edits if it was not refused.
///
/// # Errors
/// The store failed: the replica must stop.
pub fn apply(
    mut request: Box<OmRequest>,
    at: At,
    mut ns: Namespace<'_>,
) -> Result<(Box<OmResponse>, Vec<Change>), DbError> {
    let mut reply = reply_to(&request);
    let user = request.user_info.take().and_then(|info| info.user_name).unwrap_or_default();
    match apply_to(&mut request, at, &user, &mut ns, &mut reply) {
        Ok(()) => Ok((reply, ns.into_edits())),
        Err(Failure::Refused(error)) => {
            refuse(&mut reply, error);
            Ok((reply, Vec::new()))
        }
        Err(Failure::Store(error)) => Err(error),
    }
}

fn apply_to(
    request: &mut OmRequest,
    at: At,
    user: &str,
    ns: &mut Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<(), Failure> {
    if request.cmd_type == i32::from(Type::GetS3Secret) {
        let get = body(request.get_s3_secret_request.take(), Type::GetS3Secret.as_str_name())?;
        let drawn = request.update_get_s3_secret_request.take().map(|drawn| *drawn);
        return server::s3_secret::apply_get(*get, drawn, ns, reply);
    }
    macro_rules! apply_one {
        ($($kind:ident $field:ident,)*) => {
            match Type::try_from(request.cmd_type) {
                $(Ok(Type::$kind) => body(request.$field.take().map(|body| *body), stringify!($kind))?
                    .apply(at, user, ns, reply),)*
                other => Err(unsupported(other.ok(), request.cmd_type).into()),
            }
        };
    }
    writes!(apply_one)
}

fn body<T>(body: Option<T>, kind: &str) -> Result<T, OmError> {
    body.ok_or_else(|| {
        OmError::new(Status::InvalidRequest, format!("The {kind} request has no body"))
    })
}

fn unsupported(kind: Option<Type>, number: i32) -> OmError {
    match kind {
        Some(Type::UnknownCommand | Type::RecoverTrash | Type::PurgePaths) | None => {
            let name =
                kind.map_or_else(|| number.to_string(), |kind| kind.as_str_name().to_owned());
            OmError::new(
                Status::InvalidRequest,
                format!("Unrecognized write command type request {name}"),
            )
        }
        Some(kind) => OmError::new(
            Status::NotSupportedOperation,
            format!("{} is not supported by this Ozone Manager", kind.as_str_name()),
        ),
    }
}

/// Answers a query; a refusal is an answer too. [`Type::ServiceList`] and others that need the
/// server's own state are not answered here: `None`.
pub fn read(request: &OmRequest, ns: &Namespace<'_>, caller: &Caller<'_>) -> Option<Answer> {
    let kind = Type::try_from(request.cmd_type).ok();
    let mut reply = reply_to(request);
    let result = match kind {
        Some(Type::ServiceList | Type::PrepareStatus) => return None,
        Some(kind) => {
            let read = read_one(kind, request, ns, caller, reply.as_mut());
            if read.is_ok() && old_clients::is_old(request) {
                old_clients::filter(&mut reply, ns).and(read)
            } else {
                read
            }
        }
        None => Err(unsupported(None, request.cmd_type).into()),
    };
    Some(match result {
        Ok(Read::Reply) => Answer::plain(reply),
        Ok(Read::Locate) => Answer::Message { reply, locate: true },
        Ok(Read::Encoded(bytes)) => Answer::Encoded(bytes),
        Ok(Read::Stored(rows)) => Answer::Stored(rows),
        Err(failure) => {
            refuse(&mut reply, failure.into_error());
            Answer::plain(reply)
        }
    })
}

/// How a query filled its reply.
pub(crate) enum Read {
    /// Completely.
    Reply,
    /// But for pipelines.
    Locate,
    /// It encoded the whole reply itself.
    Encoded(Bytes),
    /// It lacks pipelines and the last encoding.
    Stored(Box<dyn Unlocated>),
}

fn read_one(
    kind: Type,
    request: &OmRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    rights::check(request, ns, caller)?;
    let name = kind.as_str_name();
    match kind {
        Type::InfoVolume => {
            volume::info::read(body(request.info_volume_request.as_deref(), name)?, ns, reply)
        }
        Type::ListVolume => {
            let body = body(request.list_volume_request.as_deref(), name)?;
            volume::list::read(body, ns, caller, reply)
        }
        Type::InfoBucket => {
            bucket::info::read(body(request.info_bucket_request.as_deref(), name)?, ns, reply)
        }
        Type::ListBuckets => {
            bucket::list::read(body(request.list_buckets_request.as_deref(), name)?, ns, reply)
        }
        Type::LookupKey => {
            let body = body(request.lookup_key_request.as_deref(), name)?;
            key::lookup::read(body, ns, reply, old_clients::is_old(request))
        }
        Type::GetKeyInfo => {
            let body = body(request.get_key_info_request.as_deref(), name)?;
            key::info::read(body, ns, caller, reply)
        }
        Type::ListKeys => {
            let body = body(request.list_keys_request.as_deref(), name)?;
            key::list::read(body, ns, reply, key::list::Form::Full)
        }
        Type::ListKeysLight => {
            let body = body(request.list_keys_request.as_deref(), name)?;
            key::list::read(body, ns, reply, key::list::Form::Light)
        }
        Type::GetFileStatus => {
            file::status::read(body(request.get_file_status_request.as_deref(), name)?, ns, reply)
        }
        Type::LookupFile => {
            let body = body(request.lookup_file_request.as_deref(), name)?;
            file::lookup::read(body, ns, reply, old_clients::is_old(request))
        }
        Type::ListStatus => {
            let body = body(request.list_status_request.as_deref(), name)?;
            file::list::read(body, ns, reply, old_clients::is_old(request))
        }
        Type::ListStatusLight => {
            let body = body(request.list_status_request.as_deref(), name)?;
            file::list::read_light(body, ns, reply)
        }
        Type::GetAcl => acl::get::read(body(request.get_acl_request.as_deref(), name)?, ns, reply),
        Type::GetObjectTagging => {
            let body = body(request.get_object_tagging_request.as_deref(), name)?;
            key::tags::read(body, ns, reply)
        }
        Type::ListOpenFiles => {
            let body = body(request.list_open_files_request.as_deref(), name)?;
            key::list_open::read(body, ns, reply)
        }
        Type::ListMultipartUploads => {
            let body = body(request.list_multipart_uploads_request.as_deref(), name)?;
            multipart::list_uploads::read(body, ns, reply)
        }
        Type::ListMultiPartUploadParts => {
            let body = body(request.list_multipart_upload_parts_request.as_deref(), name)?;
            multipart::list_parts::read(body, ns, reply)
        }
        Type::GetS3VolumeContext => server::s3_volume::read(ns, caller, reply),
        Type::EchoRpc => {
            server::echo::read(body(request.echo_rpc_request.as_deref(), name)?, reply)
        }
        Type::ListTenant
        | Type::TenantGetUserInfo
        | Type::TenantListUser
        | Type::CreateTenant
        | Type::DeleteTenant
        | Type::TenantAssignUserAccessId
        | Type::TenantRevokeUserAccessId
        | Type::TenantAssignAdmin
        | Type::TenantRevokeAdmin
        | Type::RangerBgSync
        | Type::SetRangerServiceVersion => Err(server::tenants_are_off().into()),
        Type::GetDelegationToken => {
            // Without security there are none.
            reply.get_delegation_token_response = Some(Box::default());
            Ok(Read::Reply)
        }
        Type::RenewDelegationToken | Type::CancelDelegationToken => Err(Failure::new(
            Status::TokenErrorOther,
            "There are no delegation tokens to renew or cancel: security is off",
        )),
        Type::ListTrash => {
            // Nobody serves it any more, and the answer is a success all the same.
            reply.message = Some(format!("Unrecognized Command Type: {name}"));
            Ok(Read::Reply)
        }
        Type::TransferLeadership => Err(Failure::new(
            Status::InternalError,
            "Cannot find a new leader to transfer leadership.",
        )),
        other => Err(unsupported(Some(other), request.cmd_type).into()),
    }
}

/// Every key in a reply, for the shell to fill pipelines in.
pub fn keys_in(reply: &mut OmResponse) -> Vec<&mut KeyInfo> {
    let mut keys: Vec<&mut KeyInfo> = Vec::new();
    keys.extend(reply.lookup_key_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(reply.get_key_info_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(reply.lookup_file_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(reply.get_file_status_response.as_mut().and_then(|r| r.status.key_info.as_mut()));
    if let Some(list) = reply.list_status_response.as_mut() {
        keys.extend(list.statuses.iter_mut().filter_map(|status| status.key_info.as_mut()));
    }
    keys
}

/// The blocks that a client needs for lease recovery: the last visible one and the last two of the
/// open file.
pub fn blocks_under_recovery(reply: &mut OmResponse) -> Vec<&mut KeyLocation> {
    fn last(key: Option<&mut KeyInfo>, count: usize) -> impl Iterator<Item = &mut KeyLocation> {
        let list = key.and_then(|key| key.key_location_list.last_mut());
        list.into_iter().flat_map(move |list| list.key_locations.iter_mut().rev().take(count))
    }
    let Some(response) = reply.recover_lease_response.as_mut() else { return Vec::new() };
    let mut blocks = Vec::new();
    blocks.extend(last(response.key_info.as_mut(), 1));
    blocks.extend(last(response.open_key_info.as_mut(), 2));
    blocks
}

#[cfg(test)]
mod tests;
