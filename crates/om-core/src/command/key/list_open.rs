//! `ListOpenFiles`: keys under way, of all trees or of one bucket.

use std::ops::ControlFlow;

use om_proto::{KeyInfo, ListOpenFilesRequest, ListOpenFilesResponse, OmResponse, Status};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::tables::{self, Table};

pub(crate) fn read(
    request: &ListOpenFilesRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let (table, prefix) = place(request.path(), ns)?;
    let max = (request.count() as usize).min(ns.rules.list_rows_max);
    let token = request.token();
    let start = (!token.is_empty()).then_some(token.as_bytes());
    let mut response = ListOpenFilesResponse::default();
    let (mut has_more, mut last, mut broken) = (false, None, None);
    ns.scan_prefix(table.slot, &prefix, start, &mut |row, value| {
        if Some(row) == start {
            return ControlFlow::Continue(());
        }
        if response.key_info.len() >= max {
            has_more = true;
            return ControlFlow::Break(());
        }
        match table.decode(row, value.to_vec().into()) {
            Ok(key) => response.key_info.push(key),
            Err(error) => {
                broken = Some(error);
                return ControlFlow::Break(());
            }
        }
        let row = String::from_utf8_lossy(row).into_owned();
        response.client_id.push(client_of(&row));
        last = Some(row);
        ControlFlow::Continue(())
    })?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    let mut total = 0;
    ns.scan_prefix(table.slot, &prefix, None, &mut |_, _| {
        total += 1;
        ControlFlow::Continue(())
    })?;
    response.total_open_key_count = Some(total);
    response.has_more = Some(has_more);
    response.continuation_token = last.filter(|_| has_more);
    reply.list_open_files_response = Some(Box::new(response));
    Ok(Read::Reply)
}

/// The table and the front of the rows that a path stands for.
fn place(path: &str, ns: &Namespace<'_>) -> Result<(&'static Table<KeyInfo>, Vec<u8>), Failure> {
    let trimmed = path.trim_start_matches('/');
    if trimmed.is_empty() {
        return Ok((&tables::OPEN_FILE, Vec::new()));
    }
    let mut parts = trimmed.splitn(3, '/');
    let (Some(volume), Some(bucket)) = (parts.next(), parts.next().filter(|name| !name.is_empty()))
    else {
        let message = format!(
            "Invalid path: {path}. Only root level or bucket level path is supported at this time"
        );
        return Err(Failure::new(Status::InvalidPath, message));
    };
    ns.volume(volume)?;
    let bucket = ns.resolve(volume, bucket)?;
    let key = parts.next().unwrap_or("");
    let prefix = if bucket.layout.is_tree() {
        let mut prefix = tables::bucket_tree(bucket.volume_id, bucket.id());
        prefix.extend_from_slice(key.as_bytes());
        prefix
    } else {
        bucket.flat_row(key)
    };
    Ok((bucket.layout.open_keys(), prefix))
}

/// The client id at the end of a row; uploads have none.
fn client_of(row: &str) -> u64 {
    let end = row.rsplit('/').next().unwrap_or_default();
    end.parse::<i64>().map_or(u64::MAX, i64::cast_unsigned)
}
