//! `CommitMultiPartUpload`: an open key becomes a part. A part of the same number is replaced.

use om_proto::{
    KeyInfo, MultipartCommitUploadPartRequest, MultipartCommitUploadPartResponse, OmResponse,
    PartKeyInfo, Status,
};

use crate::command::key::commit;
use crate::command::{self, BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::tables;

impl Write for MultipartCommitUploadPartRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        super::prepare(&mut self.key_args, ns, caller)?;
        for block in &mut self.key_args.key_locations {
            block.token = None;
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
        let args = self.key_args;
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let name = args.key_name.clone();
        let upload_id = args.multipart_upload_id.clone().unwrap_or_default();
        let number = args.multipart_number.unwrap_or(0);
        let walk = bucket.walk(ns, &name, false)?;
        let open_row = tables::with_id(&walk.row(&bucket, at), self.client_id);
        let Some(open) = ns.get(bucket.layout.open_keys(), &open_row)? else {
            let message = format!(
                "Failed to commit Multipart Upload key, as {}entry is not found in the openKey table",
                String::from_utf8_lossy(&open_row)
            );
            return Err(Failure::new(Status::KeyNotFound, message));
        };
        let (part, unused) = commit::finish(open, args, at);
        let row = super::row_of(&bucket, &name, &upload_id);
        let Some(mut upload) = ns.get(&tables::MULTIPART_INFO, &row)? else {
            // The upload was aborted or completed meanwhile: its blocks would stay for ever.
            ns.remove(bucket.layout.open_keys(), open_row);
            if !key::is_empty(&part) {
                super::give_up(ns, &bucket, &name, &upload_id, part, at)?;
            }
            command::refuse(reply, super::no_such_upload(&upload_id));
            return Ok(());
        };
        let parts = &mut upload.part_key_info_list;
        let place = parts.binary_search_by_key(&number, |part| part.part_number);
        let replaced = place.ok().map(|at| parts.remove(at).part_key_info);
        let freed = replaced.as_ref().map_or(0, key::replicated_size).cast_signed();
        let space = key::replicated_size(&part).cast_signed() - freed;
        quota::check_bytes(&bucket.info, space)?;

        quota::charge(bucket.info_mut(), space, 0);
        if let Some(old) = replaced.filter(|old| !key::is_empty(old)) {
            super::give_up(ns, &bucket, &name, &upload_id, old, at)?;
        }
        if let Some(pseudo) = commit::pseudo_key(unused, &part) {
            key::retire(ns, &bucket, &name, at.object_id(0), vec![pseudo], at)?;
        }
        let part_name = part_name(&bucket.flat_row(&name), &upload_id, number);
        let e_tag = super::etag(&part).map(str::to_owned);
        let part = PartKeyInfo {
            part_name: part_name.clone(),
            part_number: number,
            part_key_info: KeyInfo { expected_data_generation: None, ..part },
        };
        let (Ok(place) | Err(place)) = place;
        upload.part_key_info_list.insert(place, part);
        upload.update_id = Some(at.index);
        ns.put(&tables::MULTIPART_INFO, row, &upload);
        ns.remove(bucket.layout.open_keys(), open_row);
        ns.put_bucket(&bucket.info);
        reply.commit_multi_part_upload_response =
            Some(Box::new(MultipartCommitUploadPartResponse { part_name: Some(part_name), e_tag }));
        Ok(())
    }
}

/// `/<volume>/<bucket>/<key>-<upload id>-<number>`.
fn part_name(row: &[u8], upload_id: &str, number: u32) -> String {
    format!("{}-{upload_id}-{number}", String::from_utf8_lossy(row))
}
