//! `AbortMultiPartUpload`.

use om_proto::{MultipartUploadAbortRequest, OmResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for MultipartUploadAbortRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        super::prepare(&mut self.key_args, ns, caller)?;
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let args = &self.key_args;
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let upload_id = args.multipart_upload_id.as_deref().unwrap_or("");
        let row = super::row_of(&bucket, &args.key_name, upload_id);
        let Some(upload) = ns.get(&tables::MULTIPART_INFO, &row)? else {
            let message = format!(
                "Abort Multipart Upload Failed: volume: {} bucket: {} key: {}",
                args.volume_name, args.bucket_name, args.key_name
            );
            return Err(Failure::new(Status::NoSuchMultipartUploadError, message));
        };
        super::abort_upload(ns, &mut bucket, &args.key_name, upload, at)?;
        ns.put_bucket(&bucket.info);
        reply.abort_multi_part_upload_response = Some(Box::default());
        Ok(())
    }
}
