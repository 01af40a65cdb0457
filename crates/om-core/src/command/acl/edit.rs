//! `AddAcl`, `RemoveAcl`, `SetAcl`. An edit without effect answers false, `success` false, status OK.

use om_proto::{
    AddAclRequest, AddAclResponse, OmResponse, OzoneAclInfo, OzoneObj, RemoveAclRequest,
    RemoveAclResponse, SetAclRequest, SetAclResponse, Status,
};

use super::{For, Owner};
use crate::acl;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};

/// What an edit did.
struct Edited {
    /// It had an effect.
    changed: bool,
    /// `OMResponse.success`: without effect only volumes succeed.
    success: bool,
}

/// Changes the ACLs of an object.
fn edit(
    ns: &mut Namespace<'_>,
    object: &OzoneObj,
    at: At,
    now: Option<u64>,
    change: impl FnOnce(&mut Vec<OzoneAclInfo>),
) -> Result<Edited, Failure> {
    let mut owner = Owner::find(ns, object, For::Editing)?;
    let before = owner.acls().to_vec();
    change(owner.acls_mut());
    let changed = owner.acls() != before;
    let success = changed || owner.is_volume();
    if changed {
        owner.put(ns, at.index, now);
    }
    Ok(Edited { changed, success })
}

impl Write for AddAclRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Owner::find(ns, &self.obj, For::Editing)?;
        self.modification_time = Some(caller.now);
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let Self { obj, acl, modification_time } = self;
        let edited = edit(ns, &obj, at, modification_time, |acls| acl::add(acls, acl))?;
        reply.success = Some(edited.success);
        let response = edited.changed;
        reply.add_acl_response = Some(Box::new(AddAclResponse { response }));
        Ok(())
    }
}

impl Write for RemoveAclRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Owner::find(ns, &self.obj, For::Editing)?;
        self.modification_time = Some(caller.now);
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let Self { obj, acl, modification_time } = self;
        if let Some(prefix) = Owner::find(ns, &obj, For::Editing)?.new_prefix() {
            let message = format!("No prefix info for the prefix path: {prefix}");
            return Err(Failure::new(Status::PrefixNotFound, message));
        }
        let edited = edit(ns, &obj, at, modification_time, |acls| acl::remove(acls, &acl))?;
        reply.success = Some(edited.success);
        let response = edited.changed;
        reply.remove_acl_response = Some(Box::new(RemoveAclResponse { response }));
        Ok(())
    }
}

impl Write for SetAclRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Owner::find(ns, &self.obj, For::Editing)?;
        self.modification_time = Some(caller.now);
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let Self { obj, acl, modification_time } = self;
        let is_new = Owner::find(ns, &obj, For::Editing)?.new_prefix().is_some();
        let edited = edit(ns, &obj, at, modification_time, |acls| {
            let inherited = std::mem::replace(acls, acl);
            if is_new {
                inherited.into_iter().for_each(|acl| acl::add(acls, acl));
            }
        })?;
        // A new prefix is a change, even without any ACL.
        reply.success = Some(edited.success || is_new);
        let response = edited.changed || is_new;
        reply.set_acl_response = Some(Box::new(SetAclResponse { response }));
        Ok(())
    }
}
