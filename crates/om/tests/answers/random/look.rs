//! What is looked at after some steps, and which differences have a reason.

use om_proto::{OmRequest, OmResponse, Type};

use super::draw::{PLACES, Place};
use super::memory::Memory;
use crate::requests::*;

/// Everything that can be seen of a run.
pub fn requests(memory: &Memory) -> Vec<OmRequest> {
    let mut requests = Vec::new();
    for name in ["a", "b"] {
        requests.push(info_volume(&memory.volume(name)));
        requests.push(list_buckets(&memory.volume(name), "", "", 100));
    }
    for (volume, bucket) in PLACES {
        let volume = memory.volume(volume);
        let at = At(&volume, bucket);
        requests.push(list_keys(false, at, "", "", 1000));
        requests.push(list_uploads(at, "", ("", ""), 1000));
    }
    requests
}

/// One level of a tree.
pub fn level((volume, bucket): Place, folder: &str, memory: &Memory) -> OmRequest {
    let volume = memory.volume(volume);
    list_status(false, At(&volume, bucket).args(folder), false, "", 1000, false)
}

/// The folders of a level.
pub fn folders(answer: &OmResponse) -> Vec<String> {
    let statuses = answer.list_status_response.iter().flat_map(|page| &page.statuses);
    statuses
        .filter(|status| status.is_directory())
        .filter_map(|status| Some(status.key_info.as_ref()?.key_name.clone()))
        .collect()
}

/// Whether a request only looks.
pub fn is_read(command: Type) -> bool {
    let name = command.as_str_name();
    ["Info", "List", "Lookup", "Get", "Check"].iter().any(|verb| name.starts_with(verb))
}

/// An answer without what the genuine server leaves to chance: errors of a batch come out of a hash map, folders
/// that no row stands for look like some key below them, and a folder of a tree loses its owner when it is renamed.
pub fn settled(answer: &OmResponse) -> OmResponse {
    let mut answer = answer.clone();
    // What waits for its purge is on another account here, see `explained.tsv`.
    let listed = answer.list_buckets_response.iter_mut().flat_map(|page| &mut page.bucket_info);
    let buckets =
        listed.chain(answer.info_bucket_response.iter_mut().filter_map(|r| r.bucket_info.as_mut()));
    for bucket in buckets {
        (bucket.snapshot_used_bytes, bucket.snapshot_used_namespace) = (None, None);
    }
    // A missing key whose new name is taken is told twice.
    if let Some(renamed) = &mut answer.rename_keys_response {
        renamed.un_renamed_keys.dedup();
    }
    if let Some(deleted) = &mut answer.delete_keys_response {
        deleted.errors.sort_by(|a, b| a.key.cmp(&b.key));
    }
    let keys = (answer.list_status_response.iter_mut())
        .flat_map(|page| &mut page.statuses)
        .chain(answer.get_file_status_response.iter_mut().map(|found| &mut found.status))
        .filter(|status| status.is_directory())
        .filter_map(|status| {
            status.block_size = None;
            status.key_info.as_mut()
        })
        .chain(answer.get_key_info_response.iter_mut().filter_map(|r| r.key_info.as_mut()))
        .chain(answer.lookup_key_response.iter_mut().filter_map(|r| r.key_info.as_mut()));
    for key in keys {
        if key.key_name.ends_with('/') && key.is_file() {
            (key.acls, key.metadata, key.tags, key.owner_name) = Default::default();
            (key.r#type, key.factor, key.ec_replication_config) = Default::default();
        }
        if !key.is_file() {
            key.owner_name = None;
        }
    }
    let light = answer.list_status_light_response.iter_mut().flat_map(|page| &mut page.statuses);
    for status in light.filter(|status| status.is_directory()) {
        status.block_size = None;
        if let Some(key) = &mut status.basic_key_info {
            key.owner_name = None;
            if key.key_name().ends_with('/') {
                (key.r#type, key.factor, key.ec_replication_config) = Default::default();
                (key.e_tag, key.is_file) = (None, None);
            }
        }
    }
    answer
}

/// An answer without pipelines: to HEAD, the genuine server has those that another request left in its cache.
pub fn unlocated(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| line.trim() != "pipeline: *").collect();
    lines.join("\n")
}

/// `explained-random.tsv`: command, what is in the genuine answer, what is in ours, reason.
pub fn reason(command: &str, [genuine, ours]: &[String; 2]) -> Option<String> {
    let table = include_str!("../../../../../golden/om/answers/explained-random.tsv");
    table.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut columns = line.splitn(4, '\t');
        let (of, theirs, our, reason) =
            (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
        let holds = (of == "*" || of == command) && genuine.contains(theirs) && ours.contains(our);
        holds.then(|| reason.to_owned())
    })
}
