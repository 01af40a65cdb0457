//! What the configuration lets the namespace do. Equal on all replicas of one ring.

use hdds_types::ReplicationConfig;
use om_proto::BucketLayoutProto;

/// Settings that handlers consult.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `ozone.scm.block.size`, in bytes: what a new block may grow to.
    pub block_bytes: u64,
    /// `ozone.key.preallocation.max.blocks`: blocks that a create brings along at most.
    pub preallocated_blocks_max: u64,
    /// `ozone.server.default.replication` and its `.type`.
    pub default_replication: ReplicationConfig,
    /// `ozone.default.bucket.layout`.
    pub default_layout: BucketLayoutProto,
    /// `ozone.om.namespace.s3.strict`: names of volumes and buckets follow S3.
    pub strict_s3_names: bool,
    /// `ozone.om.enable.filesystem.paths`: LEGACY buckets treat `/` as a folder border.
    pub filesystem_paths: bool,
    /// `ozone.om.keyname.character.check.enabled`.
    pub key_characters_checked: bool,
    /// `ozone.om.server.list.max.size`, in rows.
    pub list_rows_max: usize,
    /// `ozone.fs.listing.page.size.max`, in rows.
    pub list_status_rows_max: usize,
    /// `ozone.om.user.max.volume`.
    pub volumes_per_user_max: usize,
    /// `ozone.om.max.buckets`.
    pub buckets_max: u64,
    /// `ozone.s3g.volume.name`.
    pub s3_volume: String,
    /// `ozone.om.volume.listall.allowed`.
    pub list_all_volumes: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            block_bytes: 256 << 20,
            preallocated_blocks_max: 64,
            default_replication: ReplicationConfig::DEFAULT,
            default_layout: BucketLayoutProto::FileSystemOptimized,
            strict_s3_names: true,
            filesystem_paths: false,
            key_characters_checked: false,
            list_rows_max: 1000,
            list_status_rows_max: 5000,
            volumes_per_user_max: 1024,
            buckets_max: 100_000,
            s3_volume: "s3v".to_owned(),
            list_all_volumes: true,
        }
    }
}
