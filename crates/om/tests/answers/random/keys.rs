//! Requests that write keys, files and folders.

use om_proto::*;

use super::draw::{Draw, Gives, Make, OpenKey, Place, about, args, is_normal, normalized};
use crate::keys::tags_of;
use crate::requests::*;

impl Draw {
    /// The fields that a client may send with a new key.
    fn dressed(&mut self, args: KeyArgs) -> KeyArgs {
        let r = &mut self.random;
        let (kind, factor, codec) = match r.below(24) {
            0..=2 => (Some(1), Some(1), None),
            3 => (Some(2), Some(1), None),
            4 => (Some(1), Some(0), None),
            5 => (Some(4), None, Some(ec(3, 2, 1 << 20))),
            6 => (Some(4), None, Some(ec(7, 1, 5))),
            7 => (Some(1), Some(3), None),
            _ => (None, None, None),
        };
        // There is one datanode: keys of more than one need no block.
        let one = factor.is_none_or(|factor| factor == 1) && codec.is_none();
        let size = if one { r.size() } else { 0 };
        KeyArgs {
            data_size: r.but_one_in(10, size).or(if one { None } else { Some(0) }),
            r#type: kind,
            factor,
            ec_replication_config: codec,
            metadata: if r.one_in(5) {
                vec![pair("k", r.of(&["v", "w", ""])), pair("ETag", "abc")]
            } else {
                vec![]
            },
            tags: if r.one_in(8) { vec![pair("tag", r.of(&["1", "2"]))] } else { vec![] },
            acls: if r.one_in(8) { vec![acl(&r.acl())] } else { vec![] },
            owner_name: if r.one_in(6) { Some(r.of(&["alice", "bob", ""]).into()) } else { None },
            latest_version_location: if r.one_in(8) { Some(true) } else { None },
            sort_datanodes: if r.one_in(8) { Some(true) } else { None },
            ..args
        }
    }

    pub(super) fn open(&mut self) -> Make {
        let (place, key) = self.target();
        let mut args = self.dressed(args(place, &key));
        let size = args.data_size.unwrap_or(0);
        let (step, part) = (self.number(), None);
        self.give(Gives::Open(OpenKey { step, place, key: key.clone(), size, part }));
        // In trees, the genuine server creates files under names as they are, even `..`: not asked.
        let is_plain = is_normal(&key);
        // A file is given a block even where it needs none: then the datanodes must be there.
        let is_one = args.r#type.is_none_or(|kind| kind != 4) && args.factor != Some(3);
        if is_one && is_plain && self.random.one_in(3) {
            let (recursive, overwrite) = (!self.random.one_in(3), self.random.one_in(2));
            return Box::new(move |memory| create_file(memory.real(&args), recursive, overwrite));
        }
        match self.random.below(20) {
            0 => args.expected_data_generation = Some(self.random.of(&[0, 0, 17])),
            1 => args.expected_e_tag = Some(self.random.of(&["abc", "x", ""]).into()),
            2 => args.multipart_number = Some(1),
            3..=5 => return self.rewrite(args),
            _ => {}
        }
        about(args, create_key)
    }

    /// Writes a key anew if nobody else did meanwhile.
    fn rewrite(&mut self, args: KeyArgs) -> Make {
        if self.generations.is_empty() {
            return about(args, create_key);
        }
        let known = self.random.below(self.generations.len());
        let (seen, place, key) = self.generations[known].clone();
        let (step, size) = (self.number(), args.data_size.unwrap_or(0));
        self.give(Gives::Open(OpenKey { step, place, key: key.clone(), size, part: None }));
        let args = KeyArgs {
            key_name: key,
            bucket_name: place.1.into(),
            volume_name: place.0.into(),
            ..args
        };
        Box::new(move |memory| {
            let expected_data_generation = memory.generation(seen);
            create_key(KeyArgs { expected_data_generation, ..memory.real(&args) })
        })
    }

    pub(super) fn commit_last(&mut self) -> Make {
        match self.opens.pop() {
            Some(open) => self.commit_of(open),
            None => self.make_folder(),
        }
    }

    pub(super) fn commit(&mut self) -> Make {
        if self.opens.is_empty() {
            return self.open();
        }
        let chosen = self.random.below(self.opens.len());
        // Asked twice now and then.
        let open = if self.random.one_in(6) {
            self.opens[chosen].clone()
        } else {
            self.opens.remove(chosen)
        };
        self.commit_of(open)
    }

    fn commit_of(&mut self, open: OpenKey) -> Make {
        if let Some((upload, number)) = open.part {
            return self.commit_part_of(open, upload, number);
        }
        let size = if self.random.one_in(8) { open.size / 2 } else { open.size };
        // A size that is not that of the blocks leaves the genuine account of the bucket wrong for good.
        let told = if size == 0 && self.random.one_in(4) { None } else { Some(size) };
        let key = if self.random.one_in(30) { self.random.name() } else { open.key };
        self.wrote(open.place, &key);
        let metadata =
            if self.random.one_in(8) { vec![pair("m", "n"), pair("ETag", "def")] } else { vec![] };
        let args = KeyArgs { data_size: told, metadata, ..args(open.place, &key) };
        let sync = match self.random.below(20) {
            // After an hsync the genuine account counts the name again at each commit (`explained.tsv`): one in twenty.
            0 if self.random.one_in(2) => Some((true, false)),
            1 => Some((false, true)),
            2 | 3 => Some((false, false)),
            _ => None,
        };
        if sync == Some((true, false)) {
            let (step, part) = (open.step, None);
            self.opens.push(OpenKey { step, place: open.place, key, size: open.size, part });
        }
        Box::new(move |memory| {
            let client = memory.client(open.step);
            let key_locations = memory.written(open.step, size);
            let args = KeyArgs { key_locations, ..memory.real(&args) };
            match sync {
                Some((synced, recovery)) => hsync(args, client, synced, recovery),
                None => commit(args, client),
            }
        })
    }

    pub(super) fn allocate(&mut self) -> Make {
        if self.opens.is_empty() {
            return self.open();
        }
        let chosen = self.random.below(self.opens.len());
        let open = self.opens[chosen].clone();
        self.opens[chosen].size += 10;
        self.asks_block_of(open.step);
        let args = args(open.place, &open.key);
        Box::new(move |memory| allocate(memory.real(&args), memory.client(open.step)))
    }

    pub(super) fn delete(&mut self) -> Make {
        let (place, key) = self.target();
        let recursive = if self.random.one_in(2) { Some(self.random.one_in(2)) } else { None };
        let mut args = KeyArgs { recursive, ..args(place, &key) };
        if self.random.one_in(20) {
            args.expected_e_tag = Some(self.random.of(&["abc", "x"]).into());
        }
        about(args, delete_key)
    }

    /// Names of one bucket, some of them missing or twice.
    fn names_of(&mut self, place: Place) -> Vec<String> {
        let count = self.random.of(&[0, 1, 2, 3, 5]);
        let mut names: Vec<String> = (0..count)
            .map(|_| {
                let (of, name) = self.target();
                if of == place { name } else { self.random.name() }
            })
            .collect();
        // An unordered list of errors would differ by chance.
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn delete_batch(&mut self) -> Make {
        let place = self.place();
        let names = self.names_of(place);
        Box::new(move |memory| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            delete_keys(At(&memory.volume(place.0), place.1), &names)
        })
    }

    pub(super) fn rename(&mut self) -> Make {
        let (place, from) = self.target();
        let to = self.other_name(place, &from);
        self.wrote(place, &to);
        let args = args(place, &from);
        Box::new(move |memory| rename(memory.real(&args), &to))
    }

    pub(super) fn rename_batch(&mut self) -> Make {
        let place = self.place();
        let names = self.names_of(place);
        let pairs: Vec<(String, String)> = names
            .into_iter()
            .map(|from| {
                let to = self.other_name(place, &from);
                (from, to)
            })
            .collect();
        Box::new(move |memory| {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            rename_keys(At(&memory.volume(place.0), place.1), &pairs)
        })
    }

    pub(super) fn make_folder(&mut self) -> Make {
        let (place, mut key) = self.target();
        if place.1 != "fso" {
            // Paths in flat layouts without normalisation: the genuine server makes folders beside them.
            key = normalized(&key);
        }
        self.wrote(place, &key);
        let mut args = args(place, &key);
        if self.random.one_in(8) {
            args.acls = vec![acl(&self.random.acl())];
            args.owner_name = Some("bob".into());
        }
        if self.random.one_in(8) {
            args.metadata = vec![pair("k", "v")];
        }
        about(args, create_directory)
    }

    /// Tags and times.
    pub(super) fn change(&mut self) -> Make {
        let (place, key) = self.target();
        let mut args = args(place, &key);
        match self.random.below(6) {
            0 | 1 => {
                let tags = [("t", "1"), ("u", "2"), ("t", "3")];
                args.tags =
                    tags.iter().take(self.random.below(3)).map(|(k, v)| pair(k, v)).collect();
                about(args, |key_args| {
                    let body = PutObjectTaggingRequest { key_args };
                    request!(PutObjectTagging, put_object_tagging_request, body)
                })
            }
            2 => about(args, tags_of),
            3 => about(args, |key_args| {
                let body = DeleteObjectTaggingRequest { key_args };
                request!(DeleteObjectTagging, delete_object_tagging_request, body)
            }),
            _ => {
                // Times before 1970 are refused here and taken there, in trees: not asked.
                let (mtime, atime) =
                    (self.random.of(&[-1, 0, 1000, i64::MAX]), self.random.of(&[-1, 0, 5]));
                Box::new(move |memory| set_times(memory.real(&args), mtime, atime))
            }
        }
    }

    /// Leases and open files.
    pub(super) fn lease(&mut self) -> Make {
        let (place, key) = self.target();
        let force = self.random.one_in(2);
        let (place, key) = match self.opens.last() {
            Some(open) if self.random.one_in(2) => (open.place, open.key.clone()),
            _ => (place, key),
        };
        if self.random.one_in(3) {
            let (depth, count) = (self.random.below(3), self.random.limit().unsigned_abs());
            return Box::new(move |memory| {
                let volume = memory.volume(place.0);
                let path = match depth {
                    0 => format!("/{volume}/{}", place.1),
                    1 => format!("/{volume}/{}/{key}", place.1),
                    _ => format!("/{volume}"),
                };
                let body = ListOpenFilesRequest {
                    path: Some(path),
                    count: Some(count),
                    token: Some(String::new()),
                };
                request!(ListOpenFiles, list_open_files_request, body)
            });
        }
        Box::new(move |memory| recover_lease(At(&memory.volume(place.0), place.1), &key, force))
    }
}
