//! Keys of the configuration that only file systems read.

use hdds_types::ReplicationConfig;
use om_proto::BucketLayoutProto;
use ozone_config::{ConfigError, Configuration};

use crate::key::Combine;

/// Most entries of one page of a listing that a client may ask for.
const LISTING_PAGE_MAX: u32 = 5000;

/// How a file system behaves.
#[derive(Clone, Debug)]
pub struct FsSettings {
    /// Entries of one page of a listing (`ozone.fs.listing.page.size`).
    pub listing_page: u32,
    /// Keys that are deleted with one request (`ozone.fs.iterate.batch-size`).
    pub batch: usize,
    /// Layout of buckets that are made on the way (`ozone.client.fs.default.bucket.layout`).
    pub new_bucket_layout: BucketLayoutProto,
    /// `/tmp` is one bucket for all users (`ozone.om.enable.ofs.shared.tmp.dir`).
    pub shared_tmp: bool,
    /// Replication that the configuration asks for (`ozone.replication`).
    pub replication: Option<ReplicationConfig>,
    /// How long deleted files stay in the trash, in milliseconds; 0 for no trash
    /// (`ozone.fs.trash.interval`, else `fs.trash.interval`, in minutes).
    pub trash_interval_ms: i64,
    /// How checksums of files are made (`ozone.client.checksum.combine.mode`).
    pub checksums: Combine,
}

impl Default for FsSettings {
    fn default() -> Self {
        Self {
            listing_page: 1024,
            batch: 100,
            new_bucket_layout: BucketLayoutProto::FileSystemOptimized,
            shared_tmp: false,
            replication: None,
            trash_interval_ms: 0,
            checksums: Combine::default(),
        }
    }
}

impl FsSettings {
    /// Reads the keys.
    ///
    /// # Errors
    /// A value is malformed.
    pub fn load(conf: &Configuration) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let layout = |text: &str| match text {
            "FILE_SYSTEM_OPTIMIZED" => Some(BucketLayoutProto::FileSystemOptimized),
            "LEGACY" => Some(BucketLayoutProto::Legacy),
            _ => None,
        };
        let minutes = conf.float("fs.trash.interval", 0.0)?;
        let minutes = conf.float("ozone.fs.trash.interval", minutes)?;
        Ok(Self {
            listing_page: conf
                .integer("ozone.fs.listing.page.size", usual.listing_page)?
                .clamp(2, LISTING_PAGE_MAX),
            batch: conf.integer("ozone.fs.iterate.batch-size", usual.batch)?.max(1),
            new_bucket_layout: conf.typed(
                "ozone.client.fs.default.bucket.layout",
                usual.new_bucket_layout,
                "FILE_SYSTEM_OPTIMIZED or LEGACY",
                layout,
            )?,
            shared_tmp: conf.boolean("ozone.om.enable.ofs.shared.tmp.dir", usual.shared_tmp)?,
            replication: replication(conf)?,
            // Whole milliseconds, as the genuine client computes them.
            #[expect(clippy::cast_possible_truncation)]
            trash_interval_ms: (minutes * 60_000.0) as i64,
            checksums: Combine::from_configuration(conf)?,
        })
    }
}

/// Unlike the shell, file systems heed `ozone.replication` without a type.
fn replication(conf: &Configuration) -> Result<Option<ReplicationConfig>, ConfigError> {
    let Some(text) = conf.get("ozone.replication")? else { return Ok(None) };
    let kind = conf.string("ozone.replication.type", "RATIS")?;
    ReplicationConfig::parse(&kind, &text).map(Some).map_err(|error| {
        conf.malformed("ozone.replication", &text, &format!("a replication ({error})"))
    })
}
