//! `ListMultiPartUploadParts`: the parts of an upload, by number.

use om_proto::{
    MultipartUploadListPartsRequest, MultipartUploadListPartsResponse, OmResponse, PartInfo,
    PartKeyInfo, Status,
};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::tables;

pub(crate) fn read(
    request: &MultipartUploadListPartsRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let bucket = ns.resolve(&request.volume, &request.bucket)?;
    let name = bucket.key_name(&request.key);
    let row = super::row_of(&bucket, &name, &request.upload_id);
    let Some(upload) = ns.get(&tables::MULTIPART_INFO, &row)? else {
        return Err(Failure::new(
            Status::NoSuchMultipartUploadError,
            "No Such Multipart upload exists for this key.",
        ));
    };
    let marker = request.part_numbermarker.unwrap_or(0);
    let max = request.max_parts.unwrap_or(0) as usize;
    let later: Vec<&PartKeyInfo> =
        upload.part_key_info_list.iter().filter(|part| part.part_number > marker).collect();
    let page = &later[..later.len().min(max)];
    // Asked for none, the genuine server looks at no part, and so not at the marker.
    let unseen = if max == 0 { &upload.part_key_info_list[..] } else { &[] };
    let is_truncated = page.len() < later.len() || !unseen.is_empty();
    let parts_list = page.iter().map(|part| info(part)).collect();
    let next = page.last().filter(|_| is_truncated).map_or(0, |part| part.part_number);
    let mut response = MultipartUploadListPartsResponse {
        next_part_number_marker: Some(next),
        is_truncated: Some(is_truncated),
        parts_list,
        ..MultipartUploadListPartsResponse::default()
    };
    // Parts are stored as the upload said, unless it says nothing any more.
    (response.r#type, response.factor, response.ec_replication_config) = match page.last() {
        Some(part) => {
            let part = &part.part_key_info;
            (Some(part.r#type), part.factor, part.ec_replication_config.clone())
        }
        None => (Some(upload.r#type), upload.factor, upload.ec_replication_config),
    };
    reply.list_multipart_upload_parts_response = Some(Box::new(response));
    Ok(Read::Reply)
}

fn info(part: &PartKeyInfo) -> PartInfo {
    PartInfo {
        part_number: part.part_number,
        part_name: part.part_name.clone(),
        modification_time: part.part_key_info.modification_time,
        size: part.part_key_info.data_size,
        e_tag: super::etag(&part.part_key_info).map(str::to_owned),
    }
}
