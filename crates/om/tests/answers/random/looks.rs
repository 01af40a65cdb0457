//! Requests that read, and ACLs.

use om_proto::ozone_obj::ObjectType;
use om_proto::*;

use super::draw::{Draw, Gives, Make, about, args, normalized};
use crate::requests::*;

impl Draw {
    pub(super) fn look(&mut self) -> Make {
        let (place, key) = self.target();
        let r = &mut self.random;
        let args = KeyArgs {
            head_op: if r.one_in(5) { Some(true) } else { None },
            latest_version_location: if r.one_in(4) { Some(r.one_in(2)) } else { None },
            sort_datanodes: if r.one_in(8) { Some(true) } else { None },
            multipart_number: if r.one_in(12) { Some(r.of(&[0, 1, 2])) } else { None },
            ..args(place, &key)
        };
        match self.random.below(8) {
            0 => about(args, lookup),
            1..=3 => {
                // Files are told under the name that they were asked by, as it was spelled.
                let args = KeyArgs { key_name: normalized(&args.key_name), ..args };
                about(args, if self.random.one_in(3) { lookup_file } else { status })
            }
            _ => {
                self.give(Gives::Generation(place, key));
                about(args, key_info)
            }
        }
    }

    pub(super) fn list(&mut self) -> Make {
        let place = self.place();
        let (light, limit) = (self.random.one_in(2), self.random.limit());
        let (start, prefix) = (self.random.prefix(), self.random.prefix());
        if self.random.one_in(3) {
            // Later than the prefix, where it is one: a start before it is explained elsewhere.
            let start = if start.is_empty() { start } else { format!("{prefix}{start}") };
            return Box::new(move |memory| {
                let volume = memory.volume(place.0);
                list_keys(light, At(&volume, place.1), &start, &prefix, limit)
            });
        }
        let folder = if self.random.one_in(2) { self.target().1 } else { prefix };
        let folder = normalized(&folder);
        let recursive = self.random.one_in(4);
        let partial = self.random.one_in(6);
        let start = match self.random.below(3) {
            0 if folder.is_empty() => start,
            0 => format!("{folder}/{start}"),
            _ => String::new(),
        };
        let limit = u64::from(limit.unsigned_abs());
        let args = args(place, &folder);
        Box::new(move |memory| {
            list_status(light, memory.real(&args), recursive, &start, limit, partial)
        })
    }

    pub(super) fn acl(&mut self) -> Make {
        let (place, key) = self.target();
        let kind = self.random.of(&[
            ObjectType::Volume,
            ObjectType::Bucket,
            ObjectType::Key,
            ObjectType::Key,
            ObjectType::Prefix,
        ]);
        // Some paths are of something else.
        let shape = if self.random.one_in(15) {
            self.random.of(&[ObjectType::Volume, ObjectType::Bucket, ObjectType::Key])
        } else {
            kind
        };
        let slash = if kind == ObjectType::Prefix && !self.random.one_in(10) { "/" } else { "" };
        let texts: Vec<String> = (0..self.random.below(4)).map(|_| self.random.acl()).collect();
        let text = self.random.acl();
        let verb = self.random.below(6);
        Box::new(move |memory| {
            let volume = memory.volume(place.0);
            let path = match shape {
                ObjectType::Volume => format!("/{volume}"),
                ObjectType::Bucket => format!("/{volume}/{}", place.1),
                _ => format!("/{volume}/{}/{}{slash}", place.1, key.trim_end_matches('/')),
            };
            let obj = object(kind, &path);
            match verb {
                0 | 1 => add_acl(obj, &text),
                2 => remove_acl(obj, &text),
                3 => set_acl(obj, &texts.iter().map(String::as_str).collect::<Vec<_>>()),
                _ => get_acl(obj),
            }
        })
    }
}
