//! ACLs of new objects. `rights` is a little-endian bit set, see [`ALL`] and [`READ_LIST`].

use bytes::Bytes;
use om_proto::ozone_acl_info::{OzoneAclScope, OzoneAclType};
use om_proto::{KeyArgs, OzoneAclInfo};
use ozone_db::DbError;

use crate::layout::{Bucket, Walk};
use crate::namespace::Namespace;

/// Every right.
pub const ALL: &[u8] = &[0x80];
/// `ozone.om.group.rights`.
pub const READ_LIST: &[u8] = &[0x09];

/// What prepare puts in front of the ACLs of a request: the caller's and his group's.
const OWN_MAX: usize = 2;
/// Rights of more bytes belong to no right (`OzoneAcl.fromProtobuf`).
const RIGHTS_BYTES_MAX: usize = 4;

/// What a user gets on what he makes (`ozone.om.user.rights`).
pub fn of_user(user: &str) -> OzoneAclInfo {
    access(OzoneAclType::User, user, ALL)
}

/// What a user's primary group gets.
pub fn of_group(group: &str) -> OzoneAclInfo {
    access(OzoneAclType::Group, group, READ_LIST)
}

fn access(kind: OzoneAclType, name: &str, rights: &'static [u8]) -> OzoneAclInfo {
    OzoneAclInfo {
        r#type: kind.into(),
        name: name.to_owned(),
        rights: Bytes::from_static(rights),
        acl_scope: OzoneAclScope::Access.into(),
    }
}

/// ACLs of a new key: the user's own, those of the request (prepare put the group's first), and the
/// default ones of its folder or bucket. Those of the request stand beside the user's own, even for
/// the same grantee (`OMKeyRequest.getAclsForKey`).
pub fn of_key(user: &str, args: &KeyArgs, parent: &[OzoneAclInfo]) -> Vec<OzoneAclInfo> {
    let mut acls = Vec::with_capacity(args.acls.len() + 1);
    acls.push(of_user(user));
    for acl in &args.acls {
        push_new(&mut acls, acl);
    }
    inherit(&mut acls, parent, OzoneAclScope::Access);
    acls
}

/// [`of_key`], where the longest prefix with default ACLs goes before the folder.
///
/// # Errors
/// The store failed.
pub fn of_key_in(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    walk: &Walk,
    user: &str,
    args: &KeyArgs,
) -> Result<Vec<OzoneAclInfo>, DbError> {
    let prefix = ns.prefix_acls(&bucket.flat_row(&args.key_name))?;
    let is_default = |acl: &OzoneAclInfo| acl.acl_scope == i32::from(OzoneAclScope::Default);
    Ok(match prefix {
        Some(acls) if acls.iter().any(is_default) => of_key(user, args, &acls),
        _ => of_key(user, args, walk.parent_acls(bucket)),
    })
}

/// ACLs of a new folder: default ones stay default ones, and come before those of the request
/// (`OMKeyRequest.getAclsForDir`).
pub fn of_folder(user: &str, args: &KeyArgs, parent: &[OzoneAclInfo]) -> Vec<OzoneAclInfo> {
    let mut acls = Vec::with_capacity(args.acls.len() + 1);
    acls.push(of_user(user));
    let is_own = |acl: &&OzoneAclInfo| **acl == of_user(user) || **acl == of_group(&acl.name);
    let own = args.acls.iter().take_while(is_own).count().min(OWN_MAX);
    for acl in &args.acls[..own] {
        push_new(&mut acls, acl);
    }
    inherit(&mut acls, parent, OzoneAclScope::Default);
    for acl in &args.acls[own..] {
        push_new(&mut acls, acl);
    }
    acls
}

fn push_new(acls: &mut Vec<OzoneAclInfo>, acl: &OzoneAclInfo) {
    if !acls.contains(acl) {
        acls.push(acl.clone());
    }
}

/// Adds one unless the same is there; rights of the same grantee are united.
pub fn add(acls: &mut Vec<OzoneAclInfo>, acl: OzoneAclInfo) {
    let same = acls.iter_mut().find(|other| {
        other.r#type == acl.r#type && other.name == acl.name && other.acl_scope == acl.acl_scope
    });
    let Some(same) = same else {
        acls.push(acl);
        return;
    };
    if same.rights != acl.rights {
        let mut rights = same.rights.to_vec();
        rights.resize(rights.len().max(acl.rights.len()), 0);
        rights.iter_mut().zip(&acl.rights).for_each(|(mine, theirs)| *mine |= theirs);
        same.rights = rights.into();
    }
}

/// The message of the `IllegalArgumentException` for an ACL whose grantee or rights cannot be
/// (`OzoneAcl.validateNameAndType`): a Java Ozone Manager could not read a row with it.
pub fn fault(acl: &OzoneAclInfo) -> Option<String> {
    let kind = acl.r#type();
    if acl.rights.len() > RIGHTS_BYTES_MAX {
        return Some(format!("Expected at most 4 bytes but got {}", acl.rights.len()));
    }
    match kind {
        OzoneAclType::User if acl.name.is_empty() => Some("user name is required".to_owned()),
        OzoneAclType::Group if acl.name.is_empty() => Some("group name is required".to_owned()),
        OzoneAclType::World | OzoneAclType::Anonymous
            if !["", "WORLD", "ANONYMOUS"].contains(&acl.name.as_str()) =>
        {
            Some(format!("Expected name {}, but was: {}", kind.as_str_name(), acl.name))
        }
        _ => None,
    }
}

/// Spells an ACL as the Java Ozone Manager stores it: everybody has one name, and rights are one byte,
/// or two where the second is not 0.
pub fn settle(acl: &mut OzoneAclInfo) {
    if matches!(acl.r#type(), OzoneAclType::World | OzoneAclType::Anonymous) {
        acl.name = acl.r#type().as_str_name().to_owned();
    }
    acl.rights = match *acl.rights {
        [] => Bytes::from_static(&[0]),
        [_] => return,
        [_, second, ..] => acl.rights.slice(..1 + usize::from(second != 0)),
    };
}

/// Takes rights away from a grantee; without any he leaves the list.
pub fn remove(acls: &mut Vec<OzoneAclInfo>, acl: &OzoneAclInfo) {
    acls.retain_mut(|other| {
        let same = other.r#type == acl.r#type
            && other.name == acl.name
            && other.acl_scope == acl.acl_scope;
        if !same {
            return true;
        }
        let mut rights = other.rights.to_vec();
        rights.iter_mut().zip(&acl.rights).for_each(|(mine, theirs)| *mine &= !theirs);
        while rights.len() > 1 && rights.last() == Some(&0) {
            rights.pop();
        }
        let any = rights.iter().any(|byte| *byte != 0);
        other.rights = rights.into();
        any
    });
}

/// Adds the DEFAULT ones of a parent in the scope that the child gets them in.
pub fn inherit(acls: &mut Vec<OzoneAclInfo>, parent: &[OzoneAclInfo], scope: OzoneAclScope) {
    for acl in parent.iter().filter(|acl| acl.acl_scope == i32::from(OzoneAclScope::Default)) {
        add(acls, OzoneAclInfo { acl_scope: scope.into(), ..acl.clone() });
    }
}
