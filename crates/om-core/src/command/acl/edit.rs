//! `AddAcl`, `RemoveAcl`, `SetAcl`. An edit without effect answers false, `success` false, status OK.

use om_proto::{
    AddAclRequest, AddAclResponse, OmResponse, OzoneAclInfo, OzoneObj, RemoveAclRequest,
    RemoveAclResponse, SetAclRequest, SetAclResponse,
};

use super::Owner;
use crate::acl;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};

/// Changes the ACLs of an object; whether that had an effect.
fn edit(
    ns: &mut Namespace<'_>,
    object: &OzoneObj,
    at: At,
    now: Option<u64>,
    change: impl FnOnce(&mut Vec<OzoneAclInfo>),
) -> Result<bool, Failure> {
    let mut owner = Owner::find(ns, object)?;
    let before = owner.acls().to_vec();
    change(owner.acls_mut());
    let changed = owner.acls() != before;
    if changed {
        owner.put(ns, at.index, now);
    }
    Ok(changed)
}

impl Write for AddAclRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Owner::find(ns, &self.obj)?;
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
        let response = edit(ns, &obj, at, modification_time, |acls| acl::add(acls, acl))?;
        reply.success = Some(response);
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
        Owner::find(ns, &self.obj)?;
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
        let response = edit(ns, &obj, at, modification_time, |acls| acl::remove(acls, &acl))?;
        reply.success = Some(response);
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
        Owner::find(ns, &self.obj)?;
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
        edit(ns, &obj, at, modification_time, |acls| {
            acls.clear();
            acl.into_iter().for_each(|acl| acl::add(acls, acl));
        })?;
        reply.set_acl_response = Some(Box::new(SetAclResponse { response: true }));
        Ok(())
    }
}
