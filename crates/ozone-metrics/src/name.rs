//! Names of Hadoop metrics in the spelling of Prometheus (`PrometheusMetricsSinkUtil`).

/// `OMMetrics`, `NumKeyCommits` → `om_metrics_num_key_commits`: words begin at a capital after a small
/// letter or digit, and at the last capital of a run that a small letter follows.
pub fn prometheus_name(record: &str, metric: &str) -> String {
    let mut name = String::with_capacity(record.len() + metric.len() + 16);
    let letters: Vec<char> = capitalized(record).chain(capitalized(metric)).collect();
    for (i, &letter) in letters.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| letters.get(i));
        if letter.is_ascii_uppercase() && before.is_some() {
            let after_small = before.is_some_and(|c| !c.is_ascii_uppercase() && *c != '_');
            let before_small = letters.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if after_small || before_small {
                push(&mut name, '_');
            }
        }
        let letter = if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
        push(&mut name, letter);
    }
    name
}

/// Underscores do not repeat.
fn push(name: &mut String, letter: char) {
    if letter != '_' || !name.ends_with('_') {
        name.push(letter);
    }
}

fn capitalized(text: &str) -> impl Iterator<Item = char> {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_genuine_daemon_writes() {
        for (record, metric, expected) in [
            ("OMMetrics", "NumKeyCommits", "om_metrics_num_key_commits"),
            ("OMMetrics", "NumKeyHSyncs", "om_metrics_num_key_h_syncs"),
            (
                "OMHAMetrics",
                "OzoneManagerHALeaderState",
                "omha_metrics_ozone_manager_ha_leader_state",
            ),
            ("rpc", "RpcQueueTimeNumOps", "rpc_rpc_queue_time_num_ops"),
            ("CSMMetrics", "applyTransactionNsNumOps", "csm_metrics_apply_transaction_ns_num_ops"),
            (
                "StorageContainerMetrics",
                "numWriteChunk",
                "storage_container_metrics_num_write_chunk",
            ),
            (
                "Rocksdb_om.db",
                "fileTable_live_sst_files_size",
                "rocksdb_om_db_file_table_live_sst_files_size",
            ),
            (
                "SCMBlockDeletingService",
                "NumBlockDeletionCommandSent",
                "scm_block_deleting_service_num_block_deletion_command_sent",
            ),
        ] {
            assert_eq!(prometheus_name(record, metric), expected);
        }
    }
}
