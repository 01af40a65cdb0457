//! What the configuration lets the namespace do. Equal on all replicas of one ring.

use hdds_types::ReplicationConfig;
use om_proto::BucketLayoutProto;

use crate::command::Caller;

/// Users and groups with rights of their own.
#[derive(Clone, Debug, Default)]
pub struct Admins {
    /// Short names of users; `*` is everybody.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
}

impl Admins {
    /// Whether the caller is one of them, or everybody is.
    pub fn include(&self, caller: &Caller<'_>) -> bool {
        self.users.iter().any(|user| user == "*") || self.name(caller)
    }

    /// Whether the caller is named, himself or by one of his groups.
    pub fn name(&self, caller: &Caller<'_>) -> bool {
        self.users.iter().any(|user| user == caller.user)
            || self.groups.iter().any(|group| caller.groups.include(caller.user, group))
    }
}

impl Rules {
    /// Whether the caller may do everything.
    pub fn is_admin(&self, caller: &Caller<'_>) -> bool {
        self.admins.include(caller)
    }
}

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
    /// `ozone.om.volume.listall.allowed`: whether others than administrators may list all volumes where
    /// ACLs are asked.
    pub list_all_volumes: bool,
    /// Who may do everything; `ozone.administrators`, its groups, and the user of the OM.
    pub admins: Admins,
    /// `ozone.readonly.administrators` and groups: who may see everything.
    pub read_only_admins: Admins,
    /// `ozone.blacklist.users` and groups: who may do nothing, administrators too.
    pub blacklist: Admins,
    /// `ozone.read.blacklist.users` and groups: who may see nothing.
    pub read_blacklist: Admins,
    /// Administrators are told from others: `ozone.acl.enabled` where authorization works at all, that
    /// is in a secure cluster or with `ozone.test.authorization.enabled`.
    pub acls_enforced: bool,
    /// ACLs are asked: `ozone.acl.authorizer.class` is `OzoneNativeAuthorizer`. The default class lets
    /// everything pass.
    pub native_authorizer: bool,
    /// `hadoop.security.key.provider.path` names servers that can be asked: buckets may be encrypted.
    pub key_provider: bool,
    /// `ozone.fs.hsync.enabled` and `ozone.hbase.enhancements.allowed`: open files may be read up to
    /// their last hsync, and taken over by lease recovery.
    pub hsync: bool,
    /// `ozone.om.lease.soft.limit`, in ms: for so long nobody but the writer may close an open file.
    pub lease_soft_limit_ms: u64,
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
            admins: Admins::default(),
            read_only_admins: Admins::default(),
            blacklist: Admins::default(),
            read_blacklist: Admins::default(),
            acls_enforced: false,
            native_authorizer: false,
            key_provider: false,
            hsync: false,
            lease_soft_limit_ms: 60_000,
        }
    }
}
