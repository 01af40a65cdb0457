//! `CreateVolume`.

use om_proto::{CreateVolumeRequest, CreateVolumeResponse, OmResponse, Status};

use crate::acl;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::names;
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for CreateVolumeRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let info = &mut self.volume_info;
        names::check_volume(&info.volume, ns.rules.strict_s3_names)?;
        info.creation_time = Some(caller.now);
        info.modification_time = Some(caller.now);
        acl::add(&mut info.volume_acls, acl::of_user(&info.owner_name));
        if let Some(group) = caller.group_acl(&info.owner_name) {
            acl::add(&mut info.volume_acls, group);
        }
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let mut info = self.volume_info;
        if ns.has(&tables::VOLUME, &tables::volume_key(&info.volume))? {
            return Err(Failure::new(Status::VolumeAlreadyExists, "Volume already exists"));
        }
        let volumes = super::with_volume(ns, &info.owner_name, &info.volume, at)?;

        acl::add(&mut info.volume_acls, acl::of_user(&info.owner_name));
        info.object_id = Some(at.object_id(0));
        info.update_id = Some(at.index);
        info.quota_in_namespace.get_or_insert(-2);
        info.used_namespace = Some(0);
        info.ref_count = Some(0);
        super::put_user(ns, &info.owner_name, &volumes);
        ns.put_volume(&info);
        reply.create_volume_response = Some(Box::new(CreateVolumeResponse::default()));
        Ok(())
    }
}
