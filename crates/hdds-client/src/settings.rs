//! Settings of reading and writing blocks.

use std::time::Duration;

use chunk_checksum::Algorithm;
use ozone_config::{ConfigError, Configuration, Unit};

/// Largest chunk a datanode takes, in bytes (`OZONE_SCM_CHUNK_MAX_SIZE`).
pub const CHUNK_BYTES_MAX: u64 = 32 << 20;

/// Which replicas must have a block before its writer is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchLevel {
    /// Every replica; a slow one is given up after a while.
    All,
    /// A majority.
    Majority,
}

/// How blocks are read and written; keys and defaults are the genuine client's.
#[derive(Clone, Debug)]
pub struct BlockSettings {
    /// `ozone.client.stream.buffer.size`, 4 MB: bytes of a chunk.
    pub chunk_bytes: usize,
    /// `ozone.client.stream.buffer.flush.size`, 16 MB: bytes after which a PutBlock is sent.
    pub flush_bytes: u64,
    /// `ozone.client.stream.buffer.max.size`, 32 MB: bytes kept until they are acknowledged.
    pub unacknowledged_bytes_max: u64,
    /// `ozone.client.checksum.type`, CRC32.
    pub checksum: Algorithm,
    /// `ozone.client.bytes.per.checksum`, 16 KB, at least 16 KB.
    pub bytes_per_checksum: u32,
    /// `ozone.client.verify.checksum`, true.
    pub verify_checksum: bool,
    /// `ozone.client.stream.putblock.piggybacking` (false) and
    /// `ozone.client.hbase.enhancements.allowed` (false): the last chunk carries its PutBlock.
    pub piggyback: bool,
    /// `hdds.ratis.client.request.watch.type`, ALL_COMMITTED.
    pub watch: WatchLevel,
    /// A pipeline that acknowledges nothing for this long is left for another
    /// (`hdds.ratis.raft.client.rpc.request.timeout`, 60 s): nothing is lost by that, since what is
    /// not acknowledged is sent again.
    pub stall_timeout: Duration,
    /// How long a writer that wants every replica ([`WatchLevel::All`]) waits for the slowest before
    /// a majority will do. The genuine client waits for the server, which gives up after 30 s, for
    /// every key while a datanode is down.
    pub watch_all_wait: Duration,
    /// `ozone.client.read.timeout`, 30 s: one command on port 9859.
    pub read_timeout: Duration,
    /// Time for a connection to a datanode.
    pub connect_timeout: Duration,
    /// `hdds.ratis.raft.client.async.outstanding-requests.max`, 32: commands in flight per datanode.
    pub requests_per_node_max: usize,
    /// Chunks that a reader asks for ahead of use.
    pub read_ahead_chunks: usize,
    /// `hdds.container.ipc.port`, 9859: for datanodes that do not tell their port.
    pub standalone_port: u16,
    /// `hdds.container.ratis.ipc.port`, 9858: likewise.
    pub ratis_port: u16,
    /// Patience with a pipeline's Raft group (`hdds.ratis.raft.client.rpc.request.timeout` 60 s,
    /// `hdds.ratis.raft.client.rpc.watch.request.timeout` 180 s,
    /// `hdds.ratis.client.request.write.timeout` 5 min).
    pub ratis: ratis::client::ClientSettings,
    /// `hdds.datanode.use.datanode.hostname`, false: connect to names instead of addresses.
    pub use_hostname: bool,
}

impl Default for BlockSettings {
    fn default() -> Self {
        Self {
            chunk_bytes: 4 << 20,
            flush_bytes: 16 << 20,
            unacknowledged_bytes_max: 32 << 20,
            checksum: Algorithm::Crc32,
            bytes_per_checksum: 16 << 10,
            verify_checksum: true,
            piggyback: false,
            watch: WatchLevel::All,
            stall_timeout: Duration::from_secs(60),
            watch_all_wait: Duration::from_secs(2),
            read_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            requests_per_node_max: 32,
            read_ahead_chunks: 4,
            standalone_port: 9859,
            ratis_port: 9858,
            ratis: ratis::client::ClientSettings::default(),
            use_hostname: false,
        }
    }
}

impl BlockSettings {
    /// Reads the client's keys.
    ///
    /// # Errors
    /// A value is malformed, or sizes do not go together.
    pub fn load(conf: &Configuration) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let chunk_key = "ozone.client.stream.buffer.size";
        let chunk_bytes = conf.size(chunk_key, usual.chunk_bytes as u64)?;
        if chunk_bytes == 0 || chunk_bytes > CHUNK_BYTES_MAX {
            let text = chunk_bytes.to_string();
            return Err(conf.malformed(chunk_key, &text, "a size from 1B to 32MB"));
        }
        let flush = conf.size("ozone.client.stream.buffer.flush.size", usual.flush_bytes)?;
        let window =
            conf.size("ozone.client.stream.buffer.max.size", usual.unacknowledged_bytes_max)?;
        // A window below a chunk or below a flush would never let anything through.
        let flush_bytes = flush.max(chunk_bytes);
        let per_checksum =
            conf.size("ozone.client.bytes.per.checksum", usual.bytes_per_checksum.into())?;
        let allowed = conf.boolean("ozone.client.hbase.enhancements.allowed", false)?;
        let piggyback = conf.boolean("ozone.client.stream.putblock.piggybacking", false)?;
        Ok(Self {
            chunk_bytes: chunk_bytes as usize,
            flush_bytes,
            unacknowledged_bytes_max: window.max(flush_bytes + chunk_bytes),
            checksum: conf.typed(
                "ozone.client.checksum.type",
                usual.checksum,
                "NONE, CRC32, CRC32C, SHA256 or MD5",
                Algorithm::from_name,
            )?,
            bytes_per_checksum: u32::try_from(per_checksum.clamp(16 << 10, CHUNK_BYTES_MAX))
                .unwrap_or(usual.bytes_per_checksum),
            verify_checksum: conf.boolean("ozone.client.verify.checksum", usual.verify_checksum)?,
            piggyback: allowed && piggyback,
            watch: conf.typed(
                "hdds.ratis.client.request.watch.type",
                usual.watch,
                "ALL_COMMITTED or MAJORITY_COMMITTED",
                |text| match text {
                    "ALL_COMMITTED" => Some(WatchLevel::All),
                    "MAJORITY_COMMITTED" => Some(WatchLevel::Majority),
                    _ => None,
                },
            )?,
            read_timeout: conf.duration(
                "ozone.client.read.timeout",
                usual.read_timeout,
                Unit::Seconds,
            )?,
            requests_per_node_max: conf
                .integer(
                    "hdds.ratis.raft.client.async.outstanding-requests.max",
                    usual.requests_per_node_max,
                )?
                .max(1),
            standalone_port: conf.integer("hdds.container.ipc.port", usual.standalone_port)?,
            ratis_port: conf.integer("hdds.container.ratis.ipc.port", usual.ratis_port)?,
            use_hostname: conf.boolean("hdds.datanode.use.datanode.hostname", false)?,
            stall_timeout: load_ratis(conf)?.request_timeout,
            ratis: load_ratis(conf)?,
            ..usual
        })
    }
}

fn load_ratis(conf: &Configuration) -> Result<ratis::client::ClientSettings, ConfigError> {
    let usual = ratis::client::ClientSettings::default();
    let time = |key, default| conf.duration(key, default, Unit::Milliseconds);
    Ok(ratis::client::ClientSettings {
        request_timeout: time("hdds.ratis.raft.client.rpc.request.timeout", usual.request_timeout)?,
        watch_timeout: time(
            "hdds.ratis.raft.client.rpc.watch.request.timeout",
            usual.watch_timeout,
        )?,
        write_deadline: time("hdds.ratis.client.request.write.timeout", usual.write_deadline)?,
        ..usual
    })
}
