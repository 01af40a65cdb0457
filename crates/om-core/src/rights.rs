//! Who may do what (`OzoneNativeAuthorizer`), asked where [`Rules::acls_enforced`] and
//! [`Rules::native_authorizer`] say so.
//!
//! ```text
//!  blacklisted             nothing, nor what reads where he is on the list of those; this comes first
//!  administrator           everything             read-only administrator    what reads
//!  owner of the volume     all below it           owner of the bucket        the bucket and all in it
//!  others                  what the ACLs of object, prefix, bucket and volume say, all four
//! ```
//! The leader asks, after a request was prepared and before it is logged: replicas only apply.
//! [`needs()`] is the one table of what each request needs; what it does not name is open to everybody
//! or checks for itself (secrets, lists of volumes) or takes part in the log only (what the OM sends
//! itself). Who follows a link needs READ on it ([`check_links`]).

mod gate;
mod needs;

use om_proto::{DeleteKeyArgs, OmRequest, RenameKeysArgs, Status, Type, VolumeInfo};

use crate::command::Caller;
use crate::error::Failure;
use crate::namespace::Namespace;

use gate::Gate;
use needs::{Follow, Need, needs, on_name, on_volume};

/// Rights, in the order of their bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Right {
    Read,
    Write,
    Create,
    List,
    Delete,
    ReadAcl,
    WriteAcl,
    All,
    None,
}

impl Right {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Create => "CREATE",
            Self::List => "LIST",
            Self::Delete => "DELETE",
            Self::ReadAcl => "READ_ACL",
            Self::WriteAcl => "WRITE_ACL",
            Self::All => "ALL",
            Self::None => "NONE",
        }
    }

    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadAcl | Self::List)
    }

    fn is_in(self, rights: &[u8]) -> bool {
        let bit = self as usize;
        rights.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    }

    /// What the objects above a key or prefix must grant.
    fn above_key(self) -> Self {
        match self {
            Self::Create => Self::Write,
            Self::ReadAcl | Self::List | Self::WriteAcl | Self::Delete => Self::Read,
            other => other,
        }
    }

    /// What the volume of a bucket must grant.
    fn above_bucket(self) -> Self {
        if self == Self::Create { Self::Write } else { Self::Read }
    }
}

/// Refuses what the caller may not do.
///
/// # Errors
/// PERMISSION_DENIED, or that a place does not exist.
pub fn check(request: &OmRequest, ns: &Namespace<'_>, caller: &Caller<'_>) -> Result<(), Failure> {
    if ns.rules.acls_enforced && !ns.rules.is_admin(caller) {
        check_reserved(request, ns, caller)?;
    }
    let Some(gate) = Gate::new(ns, caller) else { return Ok(()) };
    for need in needs(request) {
        gate.pass(&need)?;
    }
    Ok(())
}

/// What is for administrators, or for them and the owner, whatever ACLs say.
fn check_reserved(
    request: &OmRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<(), Failure> {
    if request.cmd_type == i32::from(Type::ListOpenFiles) {
        let message = "Only Ozone admins are allowed to list open files.";
        return Err(Failure::new(Status::PermissionDenied, message));
    }
    let args = request.set_bucket_property_request.as_ref().and_then(|b| b.bucket_args.as_ref());
    if let Some(args) = args.filter(|args| args.owner_name.is_none()) {
        let bucket = ns.bucket_row(&args.volume_name, &args.bucket_name)?;
        if bucket.owner.as_deref() != Some(caller.user) {
            let message = "Bucket properties are allowed to changed by Admin and Owner";
            return Err(Failure::new(Status::PermissionDenied, message));
        }
    }
    Ok(())
}

/// Refuses to follow links that the caller may not read (`OzoneManager.resolveBucketLink`); asked
/// before the names of a request become those of the real bucket.
///
/// # Errors
/// PERMISSION_DENIED. Links that lead nowhere are for others to report.
pub fn check_links(
    request: &OmRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<(), Failure> {
    let Some(gate) = Gate::new(ns, caller) else { return Ok(()) };
    if let Some(args) = request.delete_keys_request.as_ref().and_then(|b| b.delete_keys.as_ref()) {
        gate.follow(&args.volume_name, &args.bucket_name)?;
    }
    if let Some(args) = request.rename_keys_request.as_ref().map(|body| &body.rename_keys_args) {
        gate.follow(&args.volume_name, &args.bucket_name)?;
    }
    gate.see_bucket(request)?;
    let needs = needs(request);
    for Need { object, .. } in needs.iter().filter(|n| n.object.follows == Follow::Reading) {
        gate.follow(object.volume, object.bucket.unwrap_or_default())?;
    }
    Ok(())
}

/// Those keys of a batch that are there and that the caller may not delete
/// (`OMKeysDeleteRequest`: a batch says key by key what it left).
///
/// # Errors
/// The store failed.
pub fn denied_keys(
    args: &DeleteKeyArgs,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<Vec<String>, Failure> {
    let Some(gate) = Gate::new(ns, caller) else { return Ok(Vec::new()) };
    let mut denied = Vec::new();
    for key in &args.keys {
        let need = on_name(&args.volume_name, &args.bucket_name, key, Right::Delete);
        match gate.pass(&need) {
            Ok(()) => {}
            Err(Failure::Refused(error)) if error.status == Status::KeyNotFound => {}
            Err(Failure::Refused(_)) => denied.push(key.clone()),
            Err(failure) => return Err(failure),
        }
    }
    Ok(denied)
}

/// Positions of the pairs of a batch that the caller may not rename.
///
/// # Errors
/// The store failed.
pub fn denied_renames(
    args: &RenameKeysArgs,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<Vec<u32>, Failure> {
    let Some(gate) = Gate::new(ns, caller) else { return Ok(Vec::new()) };
    let (volume, bucket) = (&args.volume_name, &args.bucket_name);
    let mut denied = Vec::new();
    for (at, pair) in (0..).zip(&args.rename_keys_map) {
        let from = on_name(volume, bucket, &pair.from_key_name, Right::Delete);
        let to = on_name(volume, bucket, &pair.to_key_name, Right::Create);
        match gate.pass(&from).and_then(|()| gate.pass(&to)) {
            Ok(()) => {}
            Err(Failure::Refused(_)) => denied.push(at),
            Err(failure) => return Err(failure),
        }
    }
    Ok(denied)
}

/// Refuses a list of all volumes: `ozone.om.volume.listall.allowed` where ACLs are asked.
///
/// # Errors
/// PERMISSION_DENIED.
pub fn check_list_all(ns: &Namespace<'_>, caller: &Caller<'_>) -> Result<(), Failure> {
    match Gate::new(ns, caller) {
        Some(gate) if !gate.standing(Right::List).unwrap_or(ns.rules.list_all_volumes) => {
            Err(gate.refusal(&on_volume("/", Right::List)))
        }
        _ => Ok(()),
    }
}

/// Whether somebody finds a volume in his list.
pub fn lists(ns: &Namespace<'_>, caller: &Caller<'_>, volume: &VolumeInfo) -> bool {
    let Some(gate) = Gate::new(ns, caller) else { return true };
    gate.standing(Right::List).unwrap_or_else(|| {
        volume.owner_name == caller.user || gate.granted(&volume.volume_acls, Right::List)
    })
}
