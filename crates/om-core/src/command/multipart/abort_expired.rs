//! `AbortExpiredMultiPartUploads`: uploads that were begun long ago and never completed.

use om_proto::{
    MultipartUploadsExpiredAbortRequest, MultipartUploadsExpiredAbortResponse, OmResponse,
};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for MultipartUploadsExpiredAbortRequest {
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
        for group in self.expired_multipart_uploads_per_bucket {
            let mut bucket = match ns.bucket(&group.volume_name, &group.bucket_name) {
                Ok(bucket) => bucket,
                // Deleted since the plan was made: nothing is left to abort.
                Err(Failure::Refused(_)) => continue,
                Err(failure) => return Err(failure),
            };
            let front = String::from_utf8_lossy(&bucket.flat_row("")).into_owned();
            for expired in group.multipart_uploads {
                let name = expired.name.strip_prefix(&front).and_then(|key| key.rsplit_once('/'));
                let Some((name, _)) = name else { continue };
                let row = expired.name.as_bytes();
                let Some(upload) = ns.get(&tables::MULTIPART_INFO, row)? else { continue };
                super::abort_upload(ns, &mut bucket, name, upload, at)?;
            }
            ns.put_bucket(&bucket.info);
        }
        reply.multipart_uploads_expired_abort_response =
            Some(Box::new(MultipartUploadsExpiredAbortResponse::default()));
        Ok(())
    }
}
