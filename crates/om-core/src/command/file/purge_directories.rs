//! `PurgeDirectories`: the directory deleting service takes deleted trees apart, level by level.
//!
//! Files of a deleted folder go to the deleted table, its folders to the deleted directory table,
//! and the folder's own row goes when nothing is left below it.

use om_proto::{OmResponse, PurgeDirectoriesRequest, PurgeDirectoriesResponse};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key;
use crate::layout::Bucket;
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::tables;

impl Write for PurgeDirectoriesRequest {
    fn prepare(
        &mut self,
        _: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        for path in self.deleted_path {
            let named =
                self.bucket_name_infos.iter().find(|info| info.bucket_id == Some(path.bucket_id));
            let (volume, name) = match named {
                Some(info) => (info.volume_name.as_deref(), info.bucket_name.as_deref()),
                None => (None, None),
            };
            let mut bucket = match ns.bucket(volume.unwrap_or(""), name.unwrap_or("")) {
                Ok(bucket) if bucket.id() == path.bucket_id => Some(bucket),
                Ok(_) | Err(Failure::Refused(_)) => None,
                Err(failure) => return Err(failure),
            };
            let ids = (path.volume_id, path.bucket_id);
            for folder in path.mark_deleted_sub_dirs {
                let parent = folder.parent_id.unwrap_or(0);
                let row = tables::path_key(ids.0, ids.1, parent, names::leaf(&folder.key_name));
                let deleted = tables::with_id(&row, folder.object_id.unwrap_or(0));
                if let Some(bucket) = &mut bucket {
                    quota::release(bucket.info_mut(), 0, 1, true);
                }
                ns.remove(&tables::DIRECTORY, row);
                ns.put(&tables::DELETED_DIRECTORY, deleted, &folder);
            }
            for file in path.deleted_sub_files {
                delete_sub_file(ns, bucket.as_mut(), ids, file, at)?;
            }
            if let Some(row) = path.deleted_dir {
                if let Some(bucket) = &mut bucket {
                    quota::purge(bucket.info_mut(), 0, 1);
                }
                ns.remove(&tables::DELETED_DIRECTORY, row.into_bytes());
            }
            if let Some(bucket) = &bucket {
                ns.put_bucket(&bucket.info);
            }
        }
        reply.purge_directories_response = Some(Box::new(PurgeDirectoriesResponse::default()));
        Ok(())
    }
}

fn delete_sub_file(
    ns: &mut Namespace<'_>,
    bucket: Option<&mut Bucket>,
    (volume_id, bucket_id): (u64, u64),
    file: om_proto::KeyInfo,
    at: At,
) -> Result<(), Failure> {
    let parent = file.parent_id.unwrap_or(0);
    let row = tables::path_key(volume_id, bucket_id, parent, names::leaf(&file.key_name));
    if let Some(bucket) = &bucket {
        key::mark_writer(ns, bucket, &row, &file, key::mark::DELETED, at)?;
    }
    ns.remove(&tables::FILE, row);
    let has_blocks = !key::is_empty(&file);
    if let Some(bucket) = bucket {
        quota::release(bucket.info_mut(), key::replicated_blocks(&file), 1, has_blocks);
    }
    if has_blocks {
        let row = tables::flat_key(&file.volume_name, &file.bucket_name, &file.key_name);
        let row = key::free_row(ns, &row, file.object_id.unwrap_or(0), at)?;
        let deleted = om_proto::RepeatedKeyInfo {
            key_info: vec![om_proto::KeyInfo { update_id: Some(at.index), ..file }],
            bucket_id: Some(bucket_id),
        };
        ns.put(&tables::DELETED, row, &deleted);
    }
    Ok(())
}
