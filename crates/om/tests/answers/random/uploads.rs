//! Multipart uploads.

use om_proto::*;

use super::draw::{Draw, Gives, Make, OpenKey, Upload, about, args, is_normal};
use crate::requests::*;

/// Parts before the last must have this size.
const PART_MIN: u64 = 5 << 20;

impl Draw {
    pub(super) fn upload(&mut self) -> Make {
        if self.uploads.is_empty() || self.random.one_in(6) {
            return self.begin_upload();
        }
        let chosen = self.random.below(self.uploads.len());
        let upload = self.uploads[chosen].clone();
        match self.random.below(12) {
            0..=5 => self.open_part(&upload),
            6 | 7 => self.complete_upload(upload),
            8 => self.list_parts_of(&upload),
            9 | 10 => self.list_uploads_of(&upload),
            _ => {
                let args = args(upload.place, &self.renamed(&upload));
                Box::new(move |memory| {
                    let id = memory.upload(upload.step);
                    abort(KeyArgs { multipart_upload_id: Some(id), ..memory.real(&args) })
                })
            }
        }
    }

    /// The key of an upload, rarely another one.
    fn renamed(&mut self, upload: &Upload) -> String {
        if self.random.one_in(15) { self.random.clean_name() } else { upload.key.clone() }
    }

    fn begin_upload(&mut self) -> Make {
        // Some requests about uploads in trees take names as they are, others as they should be.
        let (place, key) = loop {
            let (place, key) = self.target();
            if is_normal(&key) {
                break (place, key);
            }
        };
        let step = self.number();
        self.give(Gives::Upload(Upload { step, place, key: key.clone(), parts: vec![] }));
        let r = &mut self.random;
        let args = KeyArgs {
            metadata: if r.one_in(4) { vec![pair("k", "v")] } else { vec![] },
            tags: if r.one_in(4) { vec![pair("t", "u")] } else { vec![] },
            owner_name: if r.one_in(4) { Some("alice".into()) } else { None },
            acls: if r.one_in(6) { vec![acl(&r.acl())] } else { vec![] },
            ..args(place, &key)
        };
        about(args, initiate)
    }

    fn open_part(&mut self, upload: &Upload) -> Make {
        let key = self.renamed(upload);
        // A part without a number ends the genuine server.
        let number = self.random.of(&[1, 1, 2, 3, 3, 10_000, 10_001]);
        // Numbers that are refused are rarer than others.
        let number = if self.random.one_in(4) { number } else { number.clamp(1, 3) };
        let size = self.random.of(&[PART_MIN, PART_MIN, PART_MIN + 1, 10, 0]);
        let (step, place, part) = (self.number(), upload.place, Some((upload.step, number)));
        self.give(Gives::Open(OpenKey { step, place, key: key.clone(), size, part }));
        let args = KeyArgs {
            data_size: Some(size),
            is_multipart_key: self.random.but_one_in(20, true),
            multipart_number: Some(number),
            ..args(place, &key)
        };
        let of = upload.step;
        Box::new(move |memory| {
            let multipart_upload_id = Some(memory.upload(of));
            create_key(KeyArgs { multipart_upload_id, ..memory.real(&args) })
        })
    }

    pub(super) fn commit_part_of(&mut self, open: OpenKey, upload: usize, number: u32) -> Make {
        self.give(Gives::Part(upload, number));
        let size = open.size;
        let etag = format!("etag{number}");
        let metadata = if self.random.one_in(10) { vec![] } else { vec![pair("ETag", &etag)] };
        let args = KeyArgs {
            data_size: Some(size),
            is_multipart_key: Some(true),
            multipart_number: Some(number),
            metadata,
            ..args(open.place, &open.key)
        };
        Box::new(move |memory| {
            let args = KeyArgs {
                multipart_upload_id: Some(memory.upload(upload)),
                key_locations: memory.written(open.step, size),
                ..memory.real(&args)
            };
            commit_part(args, memory.client(open.step))
        })
    }

    fn complete_upload(&mut self, upload: Upload) -> Make {
        // Completed under another name in a tree, the genuine server counts folders that it does not make.
        let key = upload.key.clone();
        self.wrote(upload.place, &key);
        if !self.random.one_in(4) {
            self.uploads.retain(|known| known.step != upload.step);
        }
        let mut parts = upload.parts.clone();
        parts.sort_unstable();
        match self.random.below(10) {
            0 => parts.reverse(),
            1 => parts.push(9),
            2 => drop(parts.pop()),
            3 => parts.extend(parts.first().copied()),
            _ => {}
        }
        let wrong = self.random.one_in(12);
        let args = args(upload.place, &key);
        Box::new(move |memory| {
            let etags: Vec<String> = parts
                .iter()
                .map(|number| if wrong { "no".to_owned() } else { format!("etag{number}") })
                .collect();
            let list: Vec<_> = parts
                .iter()
                .zip(&etags)
                .map(|(number, etag)| (*number, "p", Some(etag.as_str())))
                .collect();
            let multipart_upload_id = Some(memory.upload(upload.step));
            complete(KeyArgs { multipart_upload_id, ..memory.real(&args) }, &list)
        })
    }

    fn list_parts_of(&mut self, upload: &Upload) -> Make {
        let key = self.renamed(upload);
        let (of, place) = (upload.step, upload.place);
        let marker = self.random.of(&[0, 0, 1, 2, 3]);
        let max = self.random.limit().unsigned_abs();
        Box::new(move |memory| {
            let (volume, id) = (memory.volume(place.0), memory.upload(of));
            list_parts(At(&volume, place.1), &key, &id, marker, max)
        })
    }

    fn list_uploads_of(&mut self, upload: &Upload) -> Make {
        let place = upload.place;
        let prefix = self.random.prefix();
        let after = match self.random.below(3) {
            0 => upload.key.clone(),
            1 => self.random.name(),
            _ => String::new(),
        };
        let max = self.random.limit();
        Box::new(move |memory| {
            // Which of two uploads of a key comes first is a matter of chance: no id.
            list_uploads(At(&memory.volume(place.0), place.1), &prefix, (&after, ""), max)
        })
    }
}
