//! `RecoverLease`: somebody else than the writer is about to close an open file.
//!
//! The open key is marked, so that its writer cannot go on; the client then finds out how much of the
//! last block is there and commits with the recovery flag.

use om_proto::{KeyInfo, OmResponse, RecoverLeaseRequest, RecoverLeaseResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::key::{self, mark};
use crate::layout::{Bucket, Leaf};
use crate::namespace::{At, Namespace};
use crate::tables;

/// The visible half of an open file, the open half and its row.
struct OpenFile {
    visible: KeyInfo,
    open: KeyInfo,
    open_row: Vec<u8>,
}

impl Write for RecoverLeaseRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let bucket = ns.resolve(self.volume_name(), self.bucket_name())?;
        if !bucket.layout.is_tree() {
            let message = format!(
                "Bucket {} is not FSO layout. It does not support lease recovery",
                self.bucket_name()
            );
            return Err(Failure::new(Status::InternalError, message));
        }
        let (volume_name, bucket_name) = bucket.names();
        self.key_name = Some(bucket.new_key_name(self.key_name())?);
        // Only the leader has a clock: what it lets pass is forced in the log.
        let file = find(ns, &bucket, self.key_name())?;
        let limit = file.open.modification_time + ns.rules.lease_soft_limit_ms;
        let recovering = key::metadata(&file.open, mark::LEASE_RECOVERY).is_some();
        if !recovering && !self.force.unwrap_or(false) && caller.now < limit {
            let message = format!(
                "Open Key {} updated recently and is inside soft limit period",
                self.key_name()
            );
            return Err(Failure::new(Status::KeyUnderLeaseSoftLimitPeriod, message));
        }
        self.force = Some(true);
        self.volume_name = Some(volume_name.to_owned());
        self.bucket_name = Some(bucket_name.to_owned());
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let bucket = ns.bucket(self.volume_name(), self.bucket_name())?;
        let OpenFile { visible, mut open, open_row } = find(ns, &bucket, self.key_name())?;
        if key::metadata(&open, mark::LEASE_RECOVERY).is_none() {
            key::set_metadata(&mut open, mark::LEASE_RECOVERY, "true");
            open.update_id = Some(at.index);
            ns.put(bucket.layout.open_keys(), open_row, &open);
        }
        reply.recover_lease_response = Some(Box::new(RecoverLeaseResponse {
            key_info: Some(latest(visible)),
            open_key_info: Some(latest(open)),
            ..RecoverLeaseResponse::default()
        }));
        Ok(())
    }
}

fn find(ns: &Namespace<'_>, bucket: &Bucket, name: &str) -> Result<OpenFile, Failure> {
    let refused = |status, message: String| OmError::new(status, message);
    let walk = bucket.walk(ns, name, false)?;
    if !walk.missing.is_empty() {
        let message = format!("Cannot recover file : {name} as parent directory doesn't exist");
        return Err(refused(Status::DirectoryNotFound, message).into());
    }
    let visible = match walk.leaf {
        Leaf::File(visible) => visible,
        Leaf::Folder(_) => {
            let what = "as there is already directory in the given path";
            let message = format!("Can not create file: {name} {what}");
            return Err(refused(Status::NotAFile, message).into());
        }
        Leaf::Free | Leaf::BelowFile(_) => {
            let message = format!("Key:{name} not found in keyTable.");
            return Err(refused(Status::KeyNotFound, message).into());
        }
    };
    let Some(writer) = key::hsync_client(&visible) else {
        let message = format!("Key: {name} is already closed");
        return Err(refused(Status::KeyAlreadyClosed, message).into());
    };
    let open_row = tables::with_id(&bucket.row_of(&visible), writer);
    let Some(open) = ns.get(bucket.layout.open_keys(), &open_row)? else {
        let row = String::from_utf8_lossy(&open_row);
        let message = format!("Open Key {row} not found in openKeyTable");
        return Err(refused(Status::KeyNotFound, message).into());
    };
    if key::metadata(&open, mark::DELETED).is_some() {
        let message = format!("Open Key {name} is already deleted");
        return Err(refused(Status::KeyNotFound, message).into());
    }
    Ok(OpenFile { visible, open, open_row })
}

/// With its last version only.
fn latest(mut key: KeyInfo) -> KeyInfo {
    let old = key.key_location_list.len().saturating_sub(1);
    key.key_location_list.drain(..old);
    key
}
