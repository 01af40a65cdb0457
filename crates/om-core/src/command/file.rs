//! Files and folders: the file system's view of keys.

pub mod create_directory;
pub mod create_file;
pub(crate) mod fields;
pub(crate) mod light;
pub mod list;
pub mod lookup;
pub mod page;
pub mod purge_directories;
pub mod status;

use om_proto::Status;

use crate::error::Failure;
use crate::layout::Bucket;

fn not_found(bucket: &Bucket, name: &str) -> Failure {
    let (volume, bucket) = bucket.names();
    Failure::new(
        Status::FileNotFound,
        format!("Unable to get file status: volume: {volume} bucket: {bucket} key: {name}"),
    )
}
