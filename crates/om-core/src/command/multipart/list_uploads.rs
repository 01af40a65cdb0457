//! `ListMultipartUploads`: uploads under way, in the order of their rows.

use std::ops::ControlFlow;

use om_proto::{
    ListMultipartUploadsRequest, ListMultipartUploadsResponse, MultipartUploadInfo, OmResponse,
};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::tables;

pub(crate) fn read(
    request: &ListMultipartUploadsRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let bucket = ns.resolve(&request.volume, &request.bucket)?;
    let paged = request.with_pagination.unwrap_or(false);
    // Clients without pages expect everything.
    let max = if paged {
        usize::try_from(request.max_uploads.unwrap_or(0)).unwrap_or(0)
    } else {
        usize::MAX
    };
    let key_marker = request.key_marker.as_deref().filter(|marker| !marker.trim().is_empty());
    let id_marker = request.upload_id_marker.as_deref().filter(|marker| !marker.trim().is_empty());
    let front = bucket.flat_row("");
    let prefix = bucket.flat_row(&request.prefix);
    let start = key_marker.map(|marker| bucket.flat_row(&format!("{marker}/")));

    let mut uploads: Vec<MultipartUploadInfo> = Vec::new();
    let mut is_truncated = false;
    let mut broken = None;
    ns.scan_prefix(tables::MULTIPART_INFO.slot, &prefix, start.as_deref(), &mut |row, value| {
        let named = std::str::from_utf8(&row[front.len().min(row.len())..]).ok();
        let Some((name, id)) = named.and_then(|text| text.rsplit_once('/')) else {
            return ControlFlow::Continue(());
        };
        if key_marker == Some(name) && id_marker.is_none_or(|marker| id <= marker) {
            return ControlFlow::Continue(());
        }
        if uploads.len() >= max {
            is_truncated = true;
            return ControlFlow::Break(());
        }
        match tables::MULTIPART_INFO.decode(row, value.to_vec().into()) {
            Ok(upload) => uploads.push(MultipartUploadInfo {
                volume_name: bucket.info.volume_name.clone(),
                bucket_name: bucket.info.bucket_name.clone(),
                key_name: name.to_owned(),
                upload_id: id.to_owned(),
                creation_time: upload.creation_time,
                r#type: upload.r#type,
                factor: upload.factor,
                ec_replication_config: upload.ec_replication_config,
            }),
            Err(error) => {
                broken = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    let last = uploads.last().filter(|_| is_truncated);
    reply.list_multipart_uploads_response = Some(Box::new(ListMultipartUploadsResponse {
        is_truncated: Some(is_truncated),
        next_key_marker: Some(last.map_or_else(String::new, |last| last.key_name.clone())),
        next_upload_id_marker: Some(last.map_or_else(String::new, |last| last.upload_id.clone())),
        uploads_list: uploads,
    }));
    Ok(Read::Reply)
}
