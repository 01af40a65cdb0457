//! Blocks written and read against datanodes and pipelines in this process, also when they fail.

mod fake;

use std::sync::Arc;

use bytes::Bytes;
use fake::{Failure, FakeCluster};
use hdds_client::{BlockError, BlockReader, BlockWriter, Datanodes, Exclude};
use hdds_proto::datanode::Result as Code;

const CHUNK: usize = 64 << 10;
const MB: u64 = 1 << 20;

fn text(length: usize) -> Bytes {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

async fn write(
    cluster: &FakeCluster,
    data: &Bytes,
) -> Result<hdds_client::block::Written, BlockError> {
    let mut writer = BlockWriter::new(&cluster.datanodes, &cluster.location(MB))?;
    let chunks: Vec<Bytes> = data.chunks(CHUNK).map(Bytes::copy_from_slice).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        writer.write(chunk.clone(), index + 1 == chunks.len()).await?;
    }
    writer.finish().await
}

async fn read(
    datanodes: &Datanodes,
    cluster: &FakeCluster,
    from: u64,
    length: u64,
) -> Result<Vec<u8>, BlockError> {
    let location = cluster.written_location(MB);
    let mut reader = BlockReader::open(datanodes, &location, from, length).await?;
    let mut found = Vec::new();
    while let Some(piece) = reader.next().await? {
        found.extend_from_slice(&piece);
    }
    Ok(found)
}

#[tokio::test]
async fn what_is_written_is_read_back_whole_and_in_parts() {
    let cluster = FakeCluster::start(3).await;
    let data = text(5 * CHUNK + 4321);
    let written = write(&cluster, &data).await.unwrap();
    assert_eq!(written.length, data.len() as u64);
    assert!(written.block.bcsid > 0, "the last PutBlock's log index is the BCSID");
    assert_eq!(read(&cluster.datanodes, &cluster, 0, u64::MAX).await.unwrap(), data);
    // Ranges that begin and end inside of checksum pieces and span chunks.
    for (from, length) in
        [(0, 1), (16_383, 2), (CHUNK as u64 - 1, 2), (100, 200_000), (327_680, 9_999)]
    {
        let end = (from + length).min(data.len() as u64) as usize;
        let found = read(&cluster.datanodes, &cluster, from, length).await.unwrap();
        assert_eq!(found, data[from as usize..end], "{from}+{length}");
    }
}

#[tokio::test]
async fn an_empty_read_past_the_end_is_empty() {
    let cluster = FakeCluster::start(1).await;
    write(&cluster, &text(10)).await.unwrap();
    assert!(read(&cluster.datanodes, &cluster, 10, 5).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_replica_and_a_corrupt_one_are_passed_over() {
    let cluster = FakeCluster::start(3).await;
    let data = text(3 * CHUNK);
    write(&cluster, &data).await.unwrap();
    cluster.nodes[0].stop();
    cluster.nodes[1].corrupt();
    let datanodes = cluster.fresh_client();
    assert_eq!(read(&datanodes, &cluster, 0, u64::MAX).await.unwrap(), data);
}

#[tokio::test]
async fn when_every_replica_is_corrupt_the_reader_says_so() {
    let cluster = FakeCluster::start(2).await;
    write(&cluster, &text(CHUNK)).await.unwrap();
    cluster.nodes.iter().for_each(fake::FakeNode::corrupt);
    let error = read(&cluster.datanodes, &cluster, 0, 10).await.unwrap_err();
    let BlockError::NoReplica { last, .. } = &error else { panic!("{error}") };
    assert!(matches!(**last, BlockError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_not_tried_elsewhere() {
    let cluster = FakeCluster::start(3).await;
    write(&cluster, &text(10)).await.unwrap();
    cluster.nodes.iter().for_each(|node| node.refuse(Code::BlockTokenVerificationFailed));
    let error = read(&cluster.datanodes, &cluster, 0, 10).await.unwrap_err();
    assert!(error.is_token_refused(), "{error}");
    assert_eq!(cluster.nodes.iter().map(fake::FakeNode::calls).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_failed_block_gives_back_exactly_what_is_not_acknowledged() {
    // 8 chunks of 64 KB, a PutBlock after each 128 KB: requests are W W P W W P …
    let cluster = FakeCluster::start(3).await;
    cluster.ring.fail_at(7, Failure::GroupGone);
    let data = text(8 * CHUNK);
    let mut writer = BlockWriter::new(&cluster.datanodes, &cluster.location(MB)).unwrap();
    let mut error = None;
    for chunk in data.chunks(CHUNK) {
        if let Err(failed) = writer.write(Bytes::copy_from_slice(chunk), false).await {
            error = Some(failed);
            break;
        }
    }
    let error = match error {
        Some(error) => error,
        None => writer.finish().await.unwrap_err(),
    };
    assert!(matches!(error, BlockError::Pipeline { .. }), "{error}");
    assert_eq!(writer.exclusion(&error), Exclude::Pipeline(cluster.pipeline.id));
    let (acknowledged, rest) = writer.abandon();
    let acknowledged = acknowledged.expect("two PutBlocks succeeded");
    assert_eq!(acknowledged.length, 4 * CHUNK as u64);
    let rest: Vec<u8> = rest.concat();
    assert_eq!(rest, data[4 * CHUNK..4 * CHUNK + rest.len()]);
    assert!(rest.len() >= CHUNK);
}

#[tokio::test]
async fn a_closed_container_is_excluded_not_its_pipeline() {
    let cluster = FakeCluster::start(1).await;
    cluster.ring.fail_at(1, Failure::ContainerClosed);
    let mut writer = BlockWriter::new(&cluster.datanodes, &cluster.location(MB)).unwrap();
    writer.write(text(100), true).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(writer.exclusion(&error), Exclude::Container(cluster.block.container));
    assert_eq!(writer.abandon().1.concat(), text(100));
}

#[tokio::test]
async fn a_command_that_fails_after_commit_fails_the_block() {
    let cluster = FakeCluster::start(1).await;
    cluster.ring.fail_at(1, Failure::Result(Code::DiskOutOfSpace));
    let error = write(&cluster, &text(100)).await.unwrap_err();
    assert!(matches!(error, BlockError::Refused { code: Code::DiskOutOfSpace, .. }), "{error}");
}

#[tokio::test]
async fn a_replica_that_lags_is_reported_but_does_not_fail_the_block() {
    let cluster = FakeCluster::start(3).await;
    cluster.ring.lag(&cluster.pipeline.nodes[2].uuid);
    let written = write(&cluster, &text(100)).await.unwrap();
    assert_eq!(written.failed_nodes, [cluster.pipeline.nodes[2].uuid.clone()]);
}

#[tokio::test]
async fn no_more_than_the_window_is_kept_in_memory() {
    let cluster = FakeCluster::start(1).await;
    let hold = cluster.ring.hold();
    let datanodes = cluster.datanodes.clone();
    let location = cluster.location(MB);
    let ring = Arc::clone(&cluster.ring);
    let writing = tokio::spawn(async move {
        let mut writer = BlockWriter::new(&datanodes, &location)?;
        for _ in 0..16 {
            writer.write(text(CHUNK), false).await?;
        }
        writer.finish().await
    });
    // The window is 4 chunks: 4 writes and 2 PutBlocks go out, then the writer waits.
    fake::until(|| ring.received() == 6).await;
    assert_eq!(ring.received(), 6);
    assert!(!writing.is_finished());
    drop(hold);
    assert_eq!(writing.await.unwrap().unwrap().length, 16 * CHUNK as u64);
}

#[tokio::test]
async fn with_piggybacking_a_small_block_takes_one_request() {
    let cluster = FakeCluster::with(3, |settings| settings.piggyback = true).await;
    let data = text(1000);
    let written = write(&cluster, &data).await.unwrap();
    assert_eq!(cluster.ring.received(), 1);
    assert_eq!(written.length, 1000);
    assert_eq!(read(&cluster.datanodes, &cluster, 0, 1000).await.unwrap(), data);
}

#[tokio::test]
async fn a_pipeline_that_never_answers_is_left() {
    let short = std::time::Duration::from_millis(50);
    let cluster = FakeCluster::with(1, |settings| settings.stall_timeout = short).await;
    let _hold = cluster.ring.hold();
    let error = write(&cluster, &text(100)).await.unwrap_err();
    assert!(matches!(error, BlockError::Pipeline { .. }), "{error}");
}
