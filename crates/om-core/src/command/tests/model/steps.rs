//! One random request at a time, to both.

use hdds_proto::hdds::KeyValue;

use super::super::*;
use super::expected::{GONE, Kind, Open, PART_MIN, Upload};
use super::{BLOCK, Run};

/// Open keys and uploads that are remembered at a time, at most.
const REMEMBERED_MAX: usize = 6;
/// Names of the bucket: itself, a link, and a link to that.
const DOORS: [&str; 3] = ["buck", "link", "far"];

/// An open key with what its commit takes.
pub struct Writer {
    pub open: Open,
    client: u64,
    blocks: Vec<KeyLocation>,
    size: u64,
}

fn ok(reply: &OmResponse) -> bool {
    reply.status() == Status::Ok
}

impl Run {
    pub fn step(&mut self) -> String {
        let via =
            DOORS[if self.random.below(3) == 0 { 1 + self.random.below(2) as usize } else { 0 }];
        match self.random.below(40) {
            0..=8 => self.put(via),
            9..=10 => self.open(via),
            11..=13 => self.commit_any(via),
            14..=17 => self.delete(via),
            18..=19 => self.delete_batch(via),
            20..=22 => self.rename(via),
            23 => self.rename_batch(via),
            24..=25 => self.make_folder(via),
            26..=28 => self.part(via),
            29 => self.initiate(via),
            30 => self.complete(via),
            31 => self.abort(via),
            32..=33 => self.set_quota(),
            34 => self.reclaim(),
            35 => self.expire(),
            36..=37 => self.flush(),
            38 => self.crash(),
            _ => self.blind_door(),
        }
    }

    /// One of a few names, up to three deep, so that requests meet each other.
    fn name(&mut self) -> String {
        let depth = 1 + self.random.below(3);
        let names: Vec<&str> =
            (0..depth).map(|_| ["a", "b", "a-", "ab"][self.random.below(4) as usize]).collect();
        let slash = self.model.kind == Kind::Objects && self.random.below(8) == 0;
        names.join("/") + if slash { "/" } else { "" }
    }

    /// `CreateKey` or `CreateFile`, on both sides.
    fn begin(&mut self, via: &str, name: &str) -> Option<Writer> {
        let size = self.random.below(BLOCK * 5 / 2 + 1);
        let key_args = KeyArgs { data_size: Some(size), ..args(name) };
        let as_file = self.model.kind != Kind::Objects && self.random.below(3) == 0;
        let (is_overwrite, is_recursive) = (self.random.below(2) == 0, self.random.below(3) > 0);
        let (reply, expected) = if as_file {
            let request = OmRequest {
                create_file_request: Some(Box::new(CreateFileRequest {
                    key_args,
                    is_recursive,
                    is_overwrite,
                    client_id: None,
                })),
                ..kind(Type::CreateFile)
            };
            let reply = self.subject.ask_via(via, request).create_file_response;
            let reply = reply.and_then(|r| Some((r.id?, r.key_info?)));
            (reply, self.model.create_file(name, size, is_overwrite, is_recursive))
        } else {
            let reply = self.subject.ask_via(via, create_key(name, size)).create_key_response;
            let reply = reply.and_then(|r| Some((r.id?, r.key_info?)));
            (reply, self.model.create(name, size))
        };
        assert_eq!(
            reply.is_some(),
            expected.is_some(),
            "open {name}, {size} bytes, file {as_file}, overwrite {is_overwrite}, recursive \
             {is_recursive}"
        );
        let (client, key) = reply?;
        let blocks = key.key_location_list.last().unwrap().key_locations.clone();
        Some(Writer { open: expected?, client, blocks, size })
    }

    fn commit(&mut self, via: &str, writer: &Writer, size: u64) -> bool {
        let mut left = size;
        let mut blocks = Vec::new();
        for block in writer.blocks.iter().take(size.div_ceil(BLOCK) as usize) {
            let length = left.min(BLOCK);
            left -= length;
            blocks.push(KeyLocation { length, ..block.clone() });
        }
        let name = &writer.open.name;
        let reply = self.subject.ask_via(via, commit(name, writer.client, size, blocks));
        assert_eq!(
            ok(&reply),
            self.model.commit(&writer.open, size),
            "commit {name}, {size} bytes: {:?}",
            reply.message
        );
        ok(&reply)
    }

    fn put(&mut self, via: &str) -> String {
        let name = self.name();
        let Some(writer) = self.begin(via, &name) else { return format!("put {name}: refused") };
        let size = writer.size;
        let done = self.commit(via, &writer, size);
        if !done && self.writers.len() < REMEMBERED_MAX {
            self.writers.push(writer);
        }
        format!("put {name}, {size} bytes: {done}")
    }

    fn open(&mut self, via: &str) -> String {
        let name = self.name();
        if let Some(writer) = self.begin(via, &name)
            && self.writers.len() < REMEMBERED_MAX
        {
            self.writers.push(writer);
        }
        format!("open {name}")
    }

    fn commit_any(&mut self, via: &str) -> String {
        if self.writers.is_empty() {
            return "nothing to commit".to_owned();
        }
        let at = self.random.below(self.writers.len() as u64) as usize;
        let writer = self.writers.swap_remove(at);
        // Less may be written than was announced.
        let size = self.random.below(writer.size + 1);
        let done = self.commit(via, &writer, size);
        let text = format!("commit {}, {size} bytes: {done}", writer.open.name);
        if !done && self.random.below(2) == 0 {
            self.writers.push(writer);
        }
        text
    }

    fn delete(&mut self, via: &str) -> String {
        let (name, recursive) = (self.name(), self.random.below(2) == 0);
        let done = ok(&self.subject.ask_via(via, delete_key(&name, recursive)));
        assert_eq!(done, self.model.delete(&name, recursive), "delete {name} {recursive}");
        format!("delete {name}: {done}")
    }

    fn delete_batch(&mut self, via: &str) -> String {
        let count = 1 + self.random.below(4);
        let keys: Vec<String> = (0..count).map(|_| self.name()).collect();
        let request = OmRequest {
            delete_keys_request: Some(Box::new(DeleteKeysRequest {
                delete_keys: Some(DeleteKeyArgs {
                    volume_name: "vol".into(),
                    bucket_name: "buck".into(),
                    keys: keys.clone(),
                }),
                ..DeleteKeysRequest::default()
            })),
            ..kind(Type::DeleteKeys)
        };
        let reply = self.subject.ask_via(via, request);
        // In a tree, what lies in a folder goes before the folder does.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        if self.model.kind == Kind::Tree {
            order.sort_by_key(|place| std::cmp::Reverse(keys[*place].split('/').count()));
        }
        order.retain(|place| !self.model.delete(&keys[*place], true));
        order.sort_unstable();
        let left: Vec<String> = order.into_iter().map(|place| keys[place].clone()).collect();
        let answer = reply.delete_keys_response.unwrap();
        assert_eq!(answer.status, Some(left.is_empty()), "delete {keys:?}");
        assert_eq!(answer.un_deleted_keys.unwrap_or_default().keys, left, "delete {keys:?}");
        format!("delete {keys:?}, not {left:?}")
    }

    fn rename(&mut self, via: &str) -> String {
        let (from, to) = (self.name(), self.name());
        let done = ok(&self.subject.ask_via(via, rename_key(&from, &to)));
        assert_eq!(done, self.model.rename(&from, &to), "rename {from} to {to}");
        format!("rename {from} to {to}: {done}")
    }

    fn rename_batch(&mut self, via: &str) -> String {
        let count = 1 + self.random.below(4);
        let pairs: Vec<RenameKeysMap> = (0..count)
            .map(|_| RenameKeysMap { from_key_name: self.name(), to_key_name: self.name() })
            .collect();
        let request = OmRequest {
            rename_keys_request: Some(Box::new(RenameKeysRequest {
                rename_keys_args: RenameKeysArgs {
                    volume_name: "vol".into(),
                    bucket_name: "buck".into(),
                    rename_keys_map: pairs.clone(),
                },
                ..RenameKeysRequest::default()
            })),
            ..kind(Type::RenameKeys)
        };
        let reply = self.subject.ask_via(via, request);
        let Some(answer) = reply.rename_keys_response else {
            assert_eq!(self.model.kind, Kind::Tree, "rename {pairs:?}");
            return "rename many: not in trees".to_owned();
        };
        let left: Vec<RenameKeysMap> = pairs
            .iter()
            .filter(|pair| !self.model.rename(&pair.from_key_name, &pair.to_key_name))
            .cloned()
            .collect();
        assert_eq!(answer.un_renamed_keys, left, "rename {pairs:?}");
        format!("rename {pairs:?}, not {left:?}")
    }

    fn make_folder(&mut self, via: &str) -> String {
        if self.model.kind == Kind::Objects {
            return "objects know no folders".to_owned();
        }
        let name = self.name();
        let body = Some(Box::new(CreateDirectoryRequest { key_args: args(&name) }));
        let request = OmRequest { create_directory_request: body, ..kind(Type::CreateDirectory) };
        let reply = self.subject.ask_via(via, request);
        let done = matches!(reply.status(), Status::Ok | Status::DirectoryAlreadyExists);
        assert_eq!(done, self.model.make_folder(&name), "mkdir {name}");
        format!("mkdir {name}: {done}")
    }

    fn initiate(&mut self, via: &str) -> String {
        let name = self.name();
        let body = Some(Box::new(MultipartInfoInitiateRequest { key_args: args(&name) }));
        let request = OmRequest {
            initiate_multi_part_upload_request: body,
            ..kind(Type::InitiateMultiPartUpload)
        };
        let reply = self.subject.ask_via(via, request).initiate_multi_part_upload_response;
        assert_eq!(reply.is_some(), self.model.initiate(&name), "initiate {name}");
        if let Some(reply) = reply {
            let id = reply.multipart_upload_id;
            if self.uploads.len() >= REMEMBERED_MAX {
                let at = self.random.below(self.uploads.len() as u64) as usize;
                self.abort_at(via, at);
            }
            self.uploads.push(Upload {
                name: name.clone(),
                id,
                parts: Default::default(),
                is_gone: false,
            });
        }
        format!("initiate {name}")
    }

    fn any_upload(&mut self) -> Option<usize> {
        let count = self.uploads.len() as u64;
        (count > 0).then(|| self.random.below(count) as usize)
    }

    fn part(&mut self, via: &str) -> String {
        let Some(at) = self.any_upload() else { return self.initiate(via) };
        let mut upload = self.uploads.swap_remove(at);
        let number = 1 + self.random.below(3) as u32;
        let size = [0, 7, PART_MIN, PART_MIN + 3][self.random.below(4) as usize];
        let done = self.put_part(via, &mut upload, number, size);
        let text = format!("part {number} of {}, {size} bytes: {done}", upload.name);
        self.uploads.push(upload);
        text
    }

    fn put_part(&mut self, via: &str, upload: &mut Upload, number: u32, size: u64) -> bool {
        let part_args = KeyArgs {
            is_multipart_key: Some(true),
            multipart_upload_id: Some(upload.id.clone()),
            multipart_number: Some(number),
            data_size: Some(size),
            ..args(&upload.name)
        };
        let body = CreateKeyRequest { key_args: part_args.clone(), client_id: None };
        let request =
            OmRequest { create_key_request: Some(Box::new(body)), ..kind(Type::CreateKey) };
        let open = self.subject.ask_via(via, request).create_key_response;
        let expected = self.model.open_part(upload);
        assert_eq!(open.is_some(), expected, "open part {number} of {}", upload.name);
        let Some(open) = open else { return false };
        let mut key_locations = Vec::new();
        if size > 0 {
            let request = OmRequest {
                allocate_block_request: Some(Box::new(AllocateBlockRequest {
                    key_args: args(&upload.name),
                    client_id: open.id(),
                    ..Default::default()
                })),
                ..kind(Type::AllocateBlock)
            };
            let block = self.subject.ask_via(via, request).allocate_block_response;
            assert_eq!(block.is_some(), self.model.allocate(), "allocate for {}", upload.name);
            let Some(block) = block.and_then(|reply| reply.key_location) else { return false };
            key_locations.push(KeyLocation { length: size, ..block });
        }
        let etag = KeyValue { key: "ETag".into(), value: Some(format!("etag{number}")) };
        let key_args = KeyArgs { key_locations, metadata: vec![etag], ..part_args };
        let body = MultipartCommitUploadPartRequest { key_args, client_id: open.id() };
        let request = OmRequest {
            commit_multi_part_upload_request: Some(Box::new(body)),
            ..kind(Type::CommitMultiPartUpload)
        };
        let reply = self.subject.ask_via(via, request);
        let expected = self.model.commit_part(upload, number, size);
        assert_eq!(ok(&reply), expected, "part {number} of {}: {:?}", upload.name, reply.message);
        expected
    }

    fn complete(&mut self, via: &str) -> String {
        let Some(at) = self.any_upload() else { return self.initiate(via) };
        let mut upload = self.uploads.swap_remove(at);
        let numbers: Vec<u32> = match self.random.below(4) {
            0 => vec![1 + self.random.below(3) as u32],
            1 => vec![1, 2, 3],
            _ => upload.parts.keys().copied().collect(),
        };
        let part = |number: &u32| Part {
            part_number: *number,
            part_name: format!("etag{number}"),
            e_tag: Some(format!("etag{number}")),
        };
        let upload_id = Some(upload.id.clone());
        let request = OmRequest {
            complete_multi_part_upload_request: Some(Box::new(MultipartUploadCompleteRequest {
                key_args: KeyArgs { multipart_upload_id: upload_id, ..args(&upload.name) },
                parts_list: numbers.iter().map(part).collect(),
            })),
            ..kind(Type::CompleteMultiPartUpload)
        };
        let reply = self.subject.ask_via(via, request);
        let expected = self.model.complete(&mut upload, &numbers);
        let name = &upload.name;
        assert_eq!(ok(&reply), expected, "complete {name} of {numbers:?}: {:?}", reply.message);
        let text = format!("complete {name} of {numbers:?}: {expected}");
        if !expected || self.random.below(2) == 0 {
            // An upload that is over takes nothing any more.
            self.uploads.push(upload);
        }
        text
    }

    fn abort(&mut self, via: &str) -> String {
        let Some(at) = self.any_upload() else { return self.initiate(via) };
        self.abort_at(via, at)
    }

    fn abort_at(&mut self, via: &str, at: usize) -> String {
        let mut upload = self.uploads.swap_remove(at);
        let key_args =
            KeyArgs { multipart_upload_id: Some(upload.id.clone()), ..args(&upload.name) };
        let request = OmRequest {
            abort_multi_part_upload_request: Some(Box::new(MultipartUploadAbortRequest {
                key_args,
            })),
            ..kind(Type::AbortMultiPartUpload)
        };
        let done = ok(&self.subject.ask_via(via, request));
        assert_eq!(done, self.model.abort(&mut upload), "abort {}", upload.name);
        format!("abort {}: {done}", upload.name)
    }

    fn set_quota(&mut self) -> String {
        let bytes = if self.random.below(2) == 0 { 900 } else { 90 << 20 };
        let mut limit = |most| (self.random.below(3) > 0).then(|| 1 + self.random.below(most));
        let wish = (limit(bytes), limit(40));
        let quota = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let bucket_args = Some(BucketArgs {
            volume_name: "vol".into(),
            bucket_name: "buck".into(),
            quota_in_bytes: Some(quota(wish.0)),
            quota_in_namespace: Some(quota(wish.1)),
            ..Default::default()
        });
        let body =
            Some(Box::new(SetBucketPropertyRequest { bucket_args, modification_time: None }));
        let request =
            OmRequest { set_bucket_property_request: body, ..kind(Type::SetBucketProperty) };
        let spaces = self.model.used.0 + self.model.pending.0;
        let names = self.model.used.1 + self.model.pending.1;
        if ok(&self.subject.ask(request)) {
            self.model.quota = wish;
        } else {
            let below = wish.0.is_some_and(|quota| quota < spaces)
                || wish.1.is_some_and(|quota| quota < names);
            assert!(below, "quota {wish:?}");
        }
        format!("quota {wish:?}")
    }

    /// The services that delete.
    pub fn reclaim(&mut self) -> String {
        if self.random.below(2) == 0 {
            self.subject.take_apart();
            self.model.take_apart();
            return "take trees apart".to_owned();
        }
        self.subject.purge();
        // What is left are the folders on top of deleted trees.
        self.model.pending = (0, self.model.doomed.2);
        "purge".to_owned()
    }

    /// The services that clean up.
    fn expire(&mut self) -> String {
        if self.random.below(2) == 0 {
            self.subject.expire_open_keys();
            self.writers.iter_mut().for_each(|writer| writer.open.parent = GONE);
            return "open keys expire".to_owned();
        }
        self.expire_uploads();
        "uploads expire".to_owned()
    }

    pub fn expire_uploads(&mut self) {
        self.subject.expire_uploads();
        for upload in &mut self.uploads {
            self.model.abort(upload);
        }
    }

    fn flush(&mut self) -> String {
        match self.random.below(4) {
            0 => self.subject.half_flush(false),
            1 => self.subject.half_flush(true),
            _ => self.subject.om.flush(),
        }
        "flush".to_owned()
    }

    fn crash(&mut self) -> String {
        if self.random.below(3) == 0 {
            self.subject.restart();
            return "restart".to_owned();
        }
        self.subject.crash();
        "crash".to_owned()
    }

    /// Links that lead nowhere, or in circles, refuse.
    fn blind_door(&mut self) -> String {
        let name = self.name();
        for (door, status) in
            [("nowhere", Status::BucketNotFound), ("loop", Status::DetectedLoopInBucketLinks)]
        {
            for request in [create_key(&name, 1), delete_key(&name, true), rename_key(&name, "x")] {
                assert_eq!(self.subject.ask_via(door, request).status(), status, "{door}");
            }
        }
        "blind doors".to_owned()
    }
}
