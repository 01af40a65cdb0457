//! What ACLs and lists of users grant to one caller (`OzoneNativeAuthorizer`, `OzoneAclUtils`).

use std::ops::ControlFlow;

use bytes::Bytes;
use om_proto::ozone_acl_info::OzoneAclType;
use om_proto::ozone_obj::ObjectType;
use om_proto::{OmRequest, OzoneAclInfo, Status};
use prost::Message;

use super::Right;
use super::needs::{Follow, Need, Object, on_bucket};
use crate::command::Caller;
use crate::command::file::status;
use crate::error::Failure;
use crate::layout::Bucket;
use crate::namespace::Namespace;
use crate::rules::Rules;
use crate::tables::{self, Table};

/// One caller before the namespace.
pub(super) struct Gate<'a> {
    ns: &'a Namespace<'a>,
    caller: &'a Caller<'a>,
    rules: &'a Rules,
}

impl<'a> Gate<'a> {
    /// `None` for those who may do everything, and where no ACL is asked.
    pub(super) fn new(ns: &'a Namespace<'a>, caller: &'a Caller<'a>) -> Option<Self> {
        let rules = ns.rules;
        let is_listed = rules.blacklist.name(caller) || rules.read_blacklist.name(caller);
        let asked = rules.acls_enforced && rules.native_authorizer;
        let passes = !asked || rules.is_admin(caller) && !is_listed;
        (!passes).then_some(Self { ns, caller, rules })
    }

    /// What lists of users say before any ACL is asked; nothing about most users.
    pub(super) fn standing(&self, right: Right) -> Option<bool> {
        let rules = self.rules;
        if rules.blacklist.name(self.caller)
            || right.reads() && rules.read_blacklist.name(self.caller)
        {
            return Some(false);
        }
        let admits = rules.is_admin(self.caller)
            || right.reads() && rules.read_only_admins.include(self.caller);
        admits.then_some(true)
    }

    pub(super) fn pass(&self, need: &Need<'_>) -> Result<(), Failure> {
        let follows = need.object.follows;
        let Some(name) = need.object.bucket.filter(|_| follows != Follow::No) else {
            return self.pass_at(need);
        };
        if follows == Follow::Reading {
            self.follow(need.object.volume, name)?;
        }
        let real = self.ns.resolve(need.object.volume, name)?;
        let (volume, bucket) = real.names();
        let object = Object { volume, bucket: Some(bucket), ..need.object.clone() };
        let need = Need { object, ..need.clone() };
        if need.whole && real.layout.is_tree() {
            // Asked at once, without the volume before it (`checkACLsWithFSO`).
            let is_owner = self.owns_volume(volume)? || self.owns_bucket(&need)?;
            return self.grant(&need, is_owner);
        }
        self.pass_at(&need)
    }

    /// Who creates a key sees its bucket, or the link to it, first (`OMKeyCreateRequest.preExecute`).
    pub(super) fn see_bucket(&self, request: &OmRequest) -> Result<(), Failure> {
        let key = request.create_key_request.as_ref().map(|body| &body.key_args);
        let key = key.filter(|args| !args.is_multipart_key.unwrap_or(false));
        let file = request.create_file_request.as_ref().map(|body| &body.key_args);
        let file = file.filter(|args| !args.key_name.is_empty());
        let Some(args) = key.or(file) else { return Ok(()) };
        match self.pass(&on_bucket(&args.volume_name, &args.bucket_name, Right::Read)) {
            // What is missing is for others to report.
            Err(Failure::Refused(error)) if error.status != Status::PermissionDenied => Ok(()),
            passed => passed,
        }
    }

    /// READ on every link from here on.
    pub(super) fn follow(&self, volume: &str, bucket: &str) -> Result<(), Failure> {
        for (volume, bucket) in self.links(volume, bucket)? {
            let is_owner = self.owns_volume(&volume)?;
            self.grant(&on_bucket(&volume, &bucket, Right::Read), is_owner)?;
        }
        Ok(())
    }

    /// The links behind a name; circles and dangling ends are for [`Namespace::resolve`] to report.
    fn links(&self, volume: &str, bucket: &str) -> Result<Vec<(String, String)>, Failure> {
        let mut seen: Vec<(String, String)> = Vec::new();
        let mut at = (volume.to_owned(), bucket.to_owned());
        loop {
            let info = match self.ns.bucket_row(&at.0, &at.1) {
                Ok(info) => info,
                Err(Failure::Refused(_)) => return Ok(seen),
                Err(failure) => return Err(failure),
            };
            let (Some(volume), Some(bucket)) = (&info.source_volume, &info.source_bucket) else {
                return Ok(seen);
            };
            if seen.contains(&at) {
                return Ok(seen);
            }
            seen.push(std::mem::replace(&mut at, (volume.clone(), bucket.clone())));
        }
    }

    fn owns_volume(&self, volume: &str) -> Result<bool, Failure> {
        Ok(self.ns.volume(volume)?.owner_name == self.caller.user)
    }

    fn pass_at(&self, need: &Need<'_>) -> Result<(), Failure> {
        let Object { kind, volume, .. } = need.object;
        let creates_volume = kind == ObjectType::Volume && need.right == Right::Create;
        let owns_volume = !creates_volume && self.owns_volume(volume)?;
        if kind == ObjectType::Volume || owns_volume {
            return self.grant(need, owns_volume);
        }
        let above =
            if kind == ObjectType::Bucket { need.right.above_bucket() } else { Right::Read };
        // The volume is asked first, under the name of the whole object.
        let object = Object { kind: ObjectType::Volume, ..need.object.clone() };
        self.grant(&Need::new(object, above), false)?;
        self.grant(need, self.owns_bucket(need)?)
    }

    fn owns_bucket(&self, need: &Need<'_>) -> Result<bool, Failure> {
        let creates = need.object.kind == ObjectType::Bucket && need.right == Right::Create;
        let Some(bucket) = need.object.bucket.filter(|_| !creates) else { return Ok(false) };
        let info = self.ns.bucket_row(need.object.volume, bucket)?;
        Ok(info.owner.as_deref() == Some(self.caller.user))
    }

    fn grant(&self, need: &Need<'_>, is_owner: bool) -> Result<(), Failure> {
        if self.allows(need, is_owner)? { Ok(()) } else { Err(self.refusal(need)) }
    }

    pub(super) fn refusal(&self, need: &Need<'_>) -> Failure {
        let Need { object, right, .. } = need;
        let (kind, volume) = (object.kind.as_str_name().to_lowercase(), object.volume);
        let bucket = object.bucket.map(|name| format!("Bucket:{name} ")).unwrap_or_default();
        let key = object.key.as_ref().map(|name| format!("Key:{name}")).unwrap_or_default();
        Failure::new(
            Status::PermissionDenied,
            format!(
                "User {} doesn't have {} permission to access {kind} Volume:{volume} {bucket}{key}",
                self.caller.user,
                right.name()
            ),
        )
    }

    fn allows(&self, need: &Need<'_>, is_owner: bool) -> Result<bool, Failure> {
        let Need { object, right, whole } = need;
        if let Some(allowed) = self.standing(*right) {
            return Ok(allowed);
        }
        let creates = *right == Right::Create;
        if object.kind == ObjectType::Volume {
            return Ok(!creates && (is_owner || self.volume_grants(object.volume, *right)?));
        }
        if is_owner {
            return Ok(true);
        }
        let name = object.bucket.unwrap_or_default();
        if object.kind == ObjectType::Bucket {
            let granted =
                creates || self.granted(&self.ns.bucket_row(object.volume, name)?.acls, *right);
            return Ok(granted && self.volume_grants(object.volume, right.above_bucket())?);
        }
        let bucket = self.ns.resolve(object.volume, name)?;
        let key = object.key.as_deref().unwrap_or_default();
        let above = right.above_key();
        let own = if object.kind == ObjectType::Prefix {
            creates || self.prefix_grants(&bucket, key, *right)?
        } else {
            let granted = creates
                || if *whole {
                    self.tree_grants(&bucket, key, *right)?
                } else {
                    self.key_grants(&bucket, key, *right)?
                };
            granted && self.prefix_grants(&bucket, key, above)?
        };
        Ok(own
            && self.granted(&bucket.info.acls, above)
            && self.volume_grants(object.volume, Right::Read)?)
    }

    fn volume_grants(&self, volume: &str, right: Right) -> Result<bool, Failure> {
        Ok(self.granted(&self.ns.volume(volume)?.volume_acls, right))
    }

    /// A prefix without ACLs grants everything.
    fn prefix_grants(&self, bucket: &Bucket, key: &str, right: Right) -> Result<bool, Failure> {
        let prefix = self.ns.get(&tables::PREFIX, &bucket.flat_row(key))?;
        Ok(prefix.is_none_or(|prefix| self.granted(&prefix.acls, right)))
    }

    fn key_grants(&self, bucket: &Bucket, key: &str, right: Right) -> Result<bool, Failure> {
        if right == Right::Write {
            // Who has a key open may write it; rows of trees are not found by name.
            let open = self.ns.get(&tables::OPEN_KEY, &bucket.flat_row(key))?;
            return Ok(open.is_none_or(|open| self.granted(&open.acls, right)));
        }
        let found = status::find(self.ns, bucket, &bucket.key_name(key))?;
        match found {
            Some((info, _)) => Ok(self.granted(&info.acls, right)),
            None if right == Right::Read => Ok(true),
            None => {
                let row = bucket.flat_row(key);
                let row = String::from_utf8_lossy(&row);
                let message = format!("Key not found, checkAccess failed. Key:{row}");
                Err(Failure::new(Status::KeyNotFound, message))
            }
        }
    }

    /// A folder and all below it, as far as the first that does not grant it
    /// (`KeyManagerImpl.checkChildrenAcls`).
    fn tree_grants(&self, bucket: &Bucket, key: &str, right: Right) -> Result<bool, Failure> {
        if !bucket.layout.is_tree() {
            return self.key_grants(bucket, key, right);
        }
        let Some((info, is_folder)) = status::find(self.ns, bucket, &bucket.key_name(key))? else {
            return Err(status::not_in_tree(bucket, key));
        };
        if !self.granted(&info.acls, right) {
            return Ok(false);
        }
        let mut folders = if is_folder { vec![info.object_id.unwrap_or(0)] } else { Vec::new() };
        while let Some(folder) = folders.pop() {
            let below = bucket.rows_below(folder);
            let granted = self.rows_grant(&tables::FILE, &below, right, |file| &file.acls)?
                && self.rows_grant(&tables::DIRECTORY, &below, right, |folder| {
                    folders.push(folder.object_id);
                    &folder.acls
                })?;
            if !granted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether every row that begins so grants it; `acls` sees each that is looked at.
    fn rows_grant<V: Message + Default>(
        &self,
        table: &Table<V>,
        prefix: &[u8],
        right: Right,
        mut acls: impl FnMut(&V) -> &[OzoneAclInfo],
    ) -> Result<bool, Failure> {
        let mut verdict = Ok(true);
        self.ns.scan_prefix(table.slot, prefix, None, &mut |key, value| {
            verdict = table
                .decode(key, Bytes::copy_from_slice(value))
                .map(|row| self.granted(acls(&row), right));
            if matches!(verdict, Ok(true)) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(verdict?)
    }

    pub(super) fn granted(&self, acls: &[OzoneAclInfo], right: Right) -> bool {
        acls.iter().any(|acl| {
            let is_meant = match acl.r#type() {
                OzoneAclType::User => acl.name == self.caller.user,
                OzoneAclType::Group => self.caller.groups.include(self.caller.user, &acl.name),
                OzoneAclType::World | OzoneAclType::Anonymous | OzoneAclType::ClientIp => true,
            };
            is_meant
                && (right.is_in(&acl.rights) || Right::All.is_in(&acl.rights))
                && !Right::None.is_in(&acl.rights)
        })
    }
}
