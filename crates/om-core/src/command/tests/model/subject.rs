//! The namespace under test: its log outlives crashes, what was not flushed does not.

use super::super::*;
use super::BLOCK;
use crate::deletion;

pub struct Subject {
    pub om: Om,
    log: Vec<(u64, OmRequest)>,
}

fn key_args_of(request: &mut OmRequest) -> Option<&mut KeyArgs> {
    let r = request;
    let all = [
        r.create_key_request.as_mut().map(|r| &mut r.key_args),
        r.create_file_request.as_mut().map(|r| &mut r.key_args),
        r.create_directory_request.as_mut().map(|r| &mut r.key_args),
        r.commit_key_request.as_mut().map(|r| &mut r.key_args),
        r.allocate_block_request.as_mut().map(|r| &mut r.key_args),
        r.delete_key_request.as_mut().map(|r| &mut r.key_args),
        r.rename_key_request.as_mut().map(|r| &mut r.key_args),
        r.initiate_multi_part_upload_request.as_mut().map(|r| &mut r.key_args),
        r.commit_multi_part_upload_request.as_mut().map(|r| &mut r.key_args),
        r.complete_multi_part_upload_request.as_mut().map(|r| &mut r.key_args),
        r.abort_multi_part_upload_request.as_mut().map(|r| &mut r.key_args),
    ];
    all.into_iter().flatten().next()
}

impl Subject {
    pub fn new(filesystem_paths: bool) -> Self {
        let rules = Rules { block_bytes: BLOCK, filesystem_paths, ..Rules::default() };
        Self { om: Om { rules, ..Om::new() }, log: Vec::new() }
    }

    /// Sends a request that names the bucket `via`.
    pub fn ask_via(&mut self, via: &str, mut request: OmRequest) -> OmResponse {
        if let Some(args) = key_args_of(&mut request) {
            args.bucket_name = via.into();
        }
        if let Some(args) =
            request.delete_keys_request.as_mut().and_then(|r| r.delete_keys.as_mut())
        {
            args.bucket_name = via.into();
        }
        if let Some(request) = &mut request.rename_keys_request {
            request.rename_keys_args.bucket_name = via.into();
        }
        self.ask(request)
    }

    pub fn ask(&mut self, mut request: OmRequest) -> OmResponse {
        request.user_info =
            Some(Box::new(UserInfo { user_name: Some(USER.into()), ..Default::default() }));
        let mut reply = reply_to(&request);
        match prepare(&mut request, &self.om.ns(), &self.om.caller()) {
            Ok(None) => {}
            Ok(Some(wanted)) => {
                let blocks = (0..wanted.count).map(|_| self.om.block()).collect();
                provide(&mut request, blocks);
            }
            Err(failure) => {
                refuse(&mut reply, failure.into_error());
                return *reply;
            }
        }
        self.om.index += 1;
        self.log.push((self.om.index, request.clone()));
        self.replay(self.om.index, request)
    }

    fn replay(&self, index: u64, request: OmRequest) -> OmResponse {
        let (reply, changes) =
            apply(Box::new(request), At { term: 1, index }, self.om.ns()).unwrap();
        self.om.cache.apply(Applied { term: 1, index }, changes);
        *reply
    }

    /// What was not flushed is lost, and comes back from the log.
    pub fn crash(&mut self) {
        self.om.cache = TableCache::new(self.om.cache.store().clone());
        let flushed = self.om.cache.flushed().unwrap().map_or(0, |applied| applied.index);
        for (index, request) in self.log.clone() {
            if index > flushed {
                self.replay(index, request);
            }
        }
        self.log.retain(|(index, _)| *index > flushed);
    }

    /// Stops in good order, and starts again.
    pub fn restart(&mut self) {
        while self.om.cache.is_dirty() {
            self.om.flush();
        }
        self.crash();
    }

    /// Begins a flush that nobody finishes; its batch may have reached the disk.
    pub fn half_flush(&self, written: bool) {
        if let Some(flush) = self.om.cache.begin_flush()
            && written
        {
            self.om.cache.store().write(flush.batch, Durability::Memory).unwrap();
        }
    }

    /// The key deleting service runs.
    pub fn purge(&mut self) {
        let mut deleted = PurgeKeysRequest::default();
        let mut sizes = BucketPurgeKeysSize::default();
        let mut keys = Vec::new();
        for row in self.om.rows(&tables::DELETED) {
            let info = self.om.row(&tables::DELETED, &row).unwrap();
            for key in info.key_info.iter().filter(|key| key.object_id() != 0) {
                *sizes.purged_bytes.get_or_insert(0) += crate::key::replicated_blocks(key);
                *sizes.purged_namespace.get_or_insert(0) += 1;
            }
            keys.push(row);
        }
        sizes.bucket_name_info = Some(BucketNameInfo {
            bucket_id: self.om.bucket().object_id,
            volume_name: Some("vol".into()),
            bucket_name: Some("buck".into()),
            ..Default::default()
        });
        deleted.deleted_keys = vec![DeletedKeys { keys, ..Default::default() }];
        deleted.bucket_purge_keys_size = vec![sizes];
        let body = Some(Box::new(deleted));
        self.ask(OmRequest { purge_keys_request: body, ..kind(Type::PurgeKeys) });
    }

    /// The directory deleting service runs.
    pub fn take_apart(&mut self) {
        let mut walk = deletion::TreeWalk::default();
        while let Some(plan) = walk.next(&self.om.ns(), 3).unwrap() {
            let body = Some(Box::new(plan));
            self.ask(OmRequest { purge_directories_request: body, ..kind(Type::PurgeDirectories) });
        }
    }

    /// Every open key but those of uploads is cleaned up.
    pub fn expire_open_keys(&mut self) {
        let before = self.om.now + 1;
        for plan in deletion::expired_open_keys(&self.om.ns(), before, 1000).unwrap() {
            let body = Some(Box::new(plan));
            self.ask(OmRequest { delete_open_keys_request: body, ..kind(Type::DeleteOpenKeys) });
        }
    }

    /// Every upload is aborted.
    pub fn expire_uploads(&mut self) {
        let before = self.om.now + 1;
        if let Some(plan) = deletion::expired_uploads(&self.om.ns(), before, 1000).unwrap() {
            let body = Some(Box::new(plan.request));
            self.ask(OmRequest {
                multipart_uploads_expired_abort_request: body,
                ..kind(Type::AbortExpiredMultiPartUploads)
            });
        }
    }

    /// One level of a folder, by pages.
    pub fn level(&self, via: &str, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let start = names.last().cloned().unwrap_or_default();
            let page = self.om.read(OmRequest {
                list_status_request: Some(Box::new(ListStatusRequest {
                    key_args: KeyArgs { bucket_name: via.into(), ..args(folder) },
                    start_key: start.clone(),
                    num_entries: 3,
                    ..Default::default()
                })),
                ..kind(Type::ListStatus)
            });
            let page = page.list_status_response.unwrap().statuses;
            let fresh: Vec<String> = page
                .into_iter()
                .filter_map(|status| status.key_info.map(|key| key.key_name))
                .filter(|name| !names.contains(name))
                .collect();
            if fresh.is_empty() {
                return names;
            }
            names.extend(fresh);
        }
    }

    /// All keys, by pages.
    pub fn keys(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let start = names.last().cloned().unwrap_or_default();
            let (page, more) = self.om.list(&start, "", 3);
            names.extend(page);
            if !more {
                return names;
            }
        }
    }

    /// What a bucket or link shows of itself.
    pub fn bucket_info(&self, name: &str) -> BucketInfo {
        let request = InfoBucketRequest { volume_name: "vol".into(), bucket_name: name.into() };
        let body = Some(Box::new(request));
        let reply = self.om.read(OmRequest { info_bucket_request: body, ..kind(Type::InfoBucket) });
        reply.info_bucket_response.unwrap().bucket_info.unwrap()
    }

    /// Uploads under way: their names, in order.
    pub fn uploads(&self) -> Vec<String> {
        let request = ListMultipartUploadsRequest {
            volume: "vol".into(),
            bucket: "buck".into(),
            ..Default::default()
        };
        let body = Some(Box::new(request));
        let request =
            OmRequest { list_multipart_uploads_request: body, ..kind(Type::ListMultipartUploads) };
        let reply = self.om.read(request).list_multipart_uploads_response.unwrap();
        reply.uploads_list.into_iter().map(|upload| upload.key_name).collect()
    }
}
