//! `DeleteVolume`: an empty one.

use om_proto::{DeleteVolumeRequest, DeleteVolumeResponse, OmResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for DeleteVolumeRequest {
    fn prepare(
        &mut self,
        _: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let info = ns.volume(&self.volume_name)?;
        let references = info.ref_count.unwrap_or(0);
        if references != 0 {
            return Err(Failure::new(
                Status::VolumeIsReferenced,
                format!(
                    "Volume reference count is not zero ({references}). Ozone features are enabled \
                     on this volume. Try `ozone tenant delete <tenantId>` first."
                ),
            ));
        }
        if ns.has_prefix(tables::BUCKET.slot, &tables::bucket_key(&self.volume_name, ""))? {
            return Err(OmError::bare(Status::VolumeNotEmpty).into());
        }
        let volumes = super::without_volume(ns, &info.owner_name, &info.volume, at)?;

        super::put_user(ns, &info.owner_name, &volumes);
        ns.remove(&tables::VOLUME, tables::volume_key(&info.volume));
        reply.delete_volume_response = Some(Box::new(DeleteVolumeResponse::default()));
        Ok(())
    }
}
