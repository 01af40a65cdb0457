//! Requests about volumes and buckets.

use hdds_proto::hdds::DefaultReplicationConfig;
use om_proto::list_volume_request::Scope;
use om_proto::*;

use super::draw::{Draw, Make, PLACES, Place};
use crate::requests::{self, *};

impl Draw {
    /// A bucket with contents, a link, or one that comes and goes.
    fn any_bucket(&mut self) -> Place {
        match self.random.below(8) {
            0 => ("b", "link"),
            1..=3 => (
                self.random.of(&["a", "b"]),
                self.random.of(&["extra", "spare", "x.y", "Bad", "no"]),
            ),
            _ => self.random.of(&PLACES),
        }
    }

    pub(super) fn bucket(&mut self) -> Make {
        let place = self.any_bucket();
        match self.random.below(10) {
            0 | 1 => self.new_bucket(place),
            2 => {
                // Those with contents stay: what a new one looks like depends on its request.
                let place = if PLACES.contains(&place) { ("b", "chain") } else { place };
                Box::new(move |memory| delete_bucket(At(&memory.volume(place.0), place.1)))
            }
            3..=5 => self.set_bucket(place),
            6 => {
                let (start, prefix) = (
                    self.random.of(&["", "", "fso", "l", "z"]),
                    self.random.of(&["", "", "l", "obs"]),
                );
                let (volume, limit) = (self.random.of(&["a", "b", "nosuch"]), self.random.limit());
                Box::new(move |memory| list_buckets(&memory.volume(volume), start, prefix, limit))
            }
            _ => Box::new(move |memory| info_bucket(At(&memory.volume(place.0), place.1))),
        }
    }

    fn new_bucket(&mut self, place: Place) -> Make {
        let layout = self.random.of(&[
            None,
            Some(BucketLayoutProto::ObjectStore),
            Some(BucketLayoutProto::Legacy),
            Some(BucketLayoutProto::FileSystemOptimized),
        ]);
        let (bytes, names) = (self.random.quota(), self.random.quota());
        let acls = if self.random.one_in(4) { vec![acl(&self.random.acl())] } else { vec![] };
        let owner = self.random.of(&[None, Some("alice"), Some("bob"), Some("")]);
        let source = if self.random.one_in(4) { Some(self.random.of(&PLACES)) } else { None };
        let versions = self.random.one_in(6);
        Box::new(move |memory| {
            let volume = memory.volume(place.0);
            create_bucket(BucketInfo {
                quota_in_bytes: Some(bytes),
                quota_in_namespace: Some(names),
                acls: acls.clone(),
                owner: owner.map(Into::into),
                is_version_enabled: versions,
                source_volume: source.map(|source| memory.volume(source.0)),
                source_bucket: source.map(|source| source.1.into()),
                ..requests::bucket(At(&volume, place.1), layout)
            })
        })
    }

    fn set_bucket(&mut self, place: Place) -> Make {
        let r = &mut self.random;
        let mut args = BucketArgs {
            bucket_name: place.1.into(),
            volume_name: place.0.into(),
            ..Default::default()
        };
        match r.below(8) {
            0 => args.owner_name = Some(r.of(&["alice", "bob", "root", ""]).into()),
            1 => args.is_version_enabled = Some(r.one_in(2)),
            2 => args.storage_type = Some(r.of(&[1, 2])),
            3 => args.metadata = vec![pair(r.of(&["a", "b"]), "c")],
            4 => {
                let (kind, factor) = r.of(&[(1, Some(1)), (1, Some(1)), (2, Some(1))]);
                args.default_replication_config = Some(DefaultReplicationConfig {
                    r#type: kind,
                    factor,
                    ec_replication_config: None,
                });
            }
            _ => {
                let (bytes, names) = (r.quota(), r.quota());
                args.quota_in_bytes = r.but_one_in(4, bytes.cast_unsigned());
                args.quota_in_namespace = r.but_one_in(4, names.cast_unsigned());
            }
        }
        Box::new(move |memory| {
            let args = BucketArgs { volume_name: memory.volume(&args.volume_name), ..args.clone() };
            let body =
                SetBucketPropertyRequest { bucket_args: Some(args), modification_time: None };
            request!(SetBucketProperty, set_bucket_property_request, body)
        })
    }

    pub(super) fn volume(&mut self) -> Make {
        let name = self.random.of(&["a", "b", "c", "d", "Bad", "nosuch"]);
        let (bytes, names) = (self.random.quota(), self.random.quota());
        let owner = self.random.of(&["alice", "root", "bob"]);
        match self.random.below(8) {
            0 => {
                let acls =
                    if self.random.one_in(3) { vec![acl(&self.random.acl())] } else { vec![] };
                Box::new(move |memory| {
                    create_volume(VolumeInfo {
                        owner_name: owner.into(),
                        quota_in_bytes: Some(bytes.cast_unsigned()),
                        quota_in_namespace: Some(names),
                        volume_acls: acls.clone(),
                        ..requests::volume(&memory.volume(name))
                    })
                })
            }
            1 | 2 => {
                let owner = self.random.but_one_in(2, owner);
                let quota = self.random.but_one_in(3, (bytes, names));
                Box::new(move |memory| {
                    let body = SetVolumePropertyRequest {
                        volume_name: memory.volume(name),
                        owner_name: owner.map(Into::into),
                        quota_in_bytes: quota.map(|(bytes, _)| bytes.cast_unsigned()),
                        quota_in_namespace: quota.map(|(_, names)| names.cast_unsigned()),
                        modification_time: None,
                    };
                    request!(SetVolumeProperty, set_volume_property_request, body)
                })
            }
            3 => Box::new(move |memory| delete_volume(&memory.volume(name))),
            4 => {
                let scope = self.random.of(&[
                    Scope::UserVolumes,
                    Scope::VolumesByUser,
                    Scope::VolumesByCluster,
                ]);
                let after = self.random.of(&[None, Some("a"), Some("aa"), Some("b")]);
                let limit = self.random.limit().unsigned_abs();
                Box::new(move |memory| {
                    let after = after.map(|name| memory.volume(name)).unwrap_or_default();
                    list_volumes(scope, owner, &memory.volume(""), &after, limit)
                })
            }
            5 => {
                let user_acl = acl(&self.random.acl());
                Box::new(move |memory| {
                    let body = CheckVolumeAccessRequest {
                        volume_name: memory.volume(name),
                        user_acl: user_acl.clone(),
                    };
                    request!(CheckVolumeAccess, check_volume_access_request, body)
                })
            }
            _ => Box::new(move |memory| info_volume(&memory.volume(name))),
        }
    }
}
