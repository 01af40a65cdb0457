use hdds_proto::hdds::KeyValue;
use om_proto::ozone_acl_info::{OzoneAclScope, OzoneAclType};
use om_proto::ozone_obj::{ObjectType, StoreType};

use super::*;
use crate::acl as rights;

fn object(res_type: ObjectType, path: &str) -> OzoneObj {
    OzoneObj { res_type: res_type.into(), store_type: StoreType::Ozone.into(), path: path.into() }
}

fn get(om: &Om, res_type: ObjectType, path: &str) -> OmResponse {
    om.read(OmRequest {
        get_acl_request: Some(Box::new(GetAclRequest { obj: object(res_type, path) })),
        ..kind(Type::GetAcl)
    })
}

fn acls(om: &Om, res_type: ObjectType, path: &str) -> Vec<OzoneAclInfo> {
    get(om, res_type, path).get_acl_response.unwrap().acls
}

fn add(res_type: ObjectType, path: &str, acl: OzoneAclInfo) -> OmRequest {
    let body = AddAclRequest { obj: object(res_type, path), acl, modification_time: None };
    OmRequest { add_acl_request: Some(Box::new(body)), ..kind(Type::AddAcl) }
}

fn remove(res_type: ObjectType, path: &str, acl: OzoneAclInfo) -> OmRequest {
    let body = RemoveAclRequest { obj: object(res_type, path), acl, modification_time: None };
    OmRequest { remove_acl_request: Some(Box::new(body)), ..kind(Type::RemoveAcl) }
}

#[test]
fn a_link_shows_its_own_acls_even_when_it_leads_nowhere() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let mut request = create_bucket("vol", "link", BucketLayoutProto::ObjectStore);
    let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
    (info.source_volume, info.source_bucket) = (Some("vol".into()), Some("buck".into()));
    om.ok(request);
    let before = acls(&om, ObjectType::Bucket, "/vol/link");
    om.ok(add(ObjectType::Bucket, "/vol/buck", rights::of_group("alice")));
    assert_eq!(acls(&om, ObjectType::Bucket, "/vol/link"), before);
    assert_eq!(acls(&om, ObjectType::Bucket, "/vol/buck").len(), 3);
    om.ok(OmRequest {
        delete_bucket_request: Some(Box::new(DeleteBucketRequest {
            volume_name: "vol".into(),
            bucket_name: "buck".into(),
        })),
        ..kind(Type::DeleteBucket)
    });
    assert_eq!(acls(&om, ObjectType::Bucket, "/vol/link"), before);
}

#[test]
fn acls_of_volume_bucket_and_key_are_added_and_taken_away_bit_by_bit() {
    for layout in [BucketLayoutProto::ObjectStore, BucketLayoutProto::FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        om.put("dir/key", 5);
        for (kind_of, path) in [
            (ObjectType::Volume, "/vol"),
            (ObjectType::Bucket, "/vol/buck"),
            (ObjectType::Key, "/vol/buck/dir/key"),
        ] {
            let own = vec![rights::of_user(USER), rights::of_group(USER)];
            assert_eq!(acls(&om, kind_of, path), own);
            let alice = rights::of_group("alice");
            om.ok(add(kind_of, path, alice.clone()));
            let again = om.write(add(kind_of, path, alice.clone()));
            // A volume's answer is a success even without effect.
            let success = Some(kind_of == ObjectType::Volume);
            assert_eq!((again.status(), again.success), (Status::Ok, success));
            assert!(!again.add_acl_response.unwrap().response);
            let read = OzoneAclInfo { rights: vec![1].into(), ..alice.clone() };
            om.ok(remove(kind_of, path, read));
            assert_eq!(acls(&om, kind_of, path)[2].rights.as_ref(), [0x08]);
            om.ok(remove(kind_of, path, alice));
            assert_eq!(acls(&om, kind_of, path), own);
        }
        assert_eq!(om.info("dir/key").status(), Status::Ok);
    }
}

#[test]
fn acls_of_nothing_are_not_found() {
    let om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let reply = get(&om, ObjectType::Key, "/vol/buck/nope");
    assert_eq!(reply.status(), Status::KeyNotFound);
    assert_eq!(reply.message.as_deref(), Some("Key not found. Key:/vol/buck/nope"));
    assert_eq!(get(&om, ObjectType::Key, "/vol").status(), Status::InvalidPathInAclRequest);
    assert!(acls(&om, ObjectType::Prefix, "/vol/buck/p/").is_empty());
}

#[test]
fn new_keys_inherit_the_default_acls_of_their_bucket() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    let inherited =
        OzoneAclInfo { acl_scope: OzoneAclScope::Default.into(), ..rights::of_user("alice") };
    om.ok(add(ObjectType::Bucket, "/vol/buck", inherited.clone()));
    om.put("dir/key", 0);
    assert_eq!(acls(&om, ObjectType::Key, "/vol/buck/dir")[2], inherited);
    let of_key = &acls(&om, ObjectType::Key, "/vol/buck/dir/key")[2];
    assert_eq!(*of_key, rights::of_user("alice"));
}

#[test]
fn tags_are_put_read_and_dropped() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    om.put("dir/key", 0);
    let tags = vec![KeyValue { key: "a".into(), value: Some("b".into()) }];
    let read = |om: &Om| {
        let body = GetObjectTaggingRequest { key_args: args("dir/key") };
        let reply = om.read(OmRequest {
            get_object_tagging_request: Some(Box::new(body)),
            ..kind(Type::GetObjectTagging)
        });
        reply.get_object_tagging_response.unwrap().tags
    };
    let key_args = KeyArgs { tags: tags.clone(), ..args("dir/key") };
    om.ok(OmRequest {
        put_object_tagging_request: Some(Box::new(PutObjectTaggingRequest { key_args })),
        ..kind(Type::PutObjectTagging)
    });
    assert_eq!(read(&om), tags);
    let body = DeleteObjectTaggingRequest { key_args: args("dir/key") };
    om.ok(OmRequest {
        delete_object_tagging_request: Some(Box::new(body)),
        ..kind(Type::DeleteObjectTagging)
    });
    assert!(read(&om).is_empty());
}

fn as_user<'a>(om: &Om, user: &'a str) -> Caller<'a> {
    Caller { user, ..om.caller() }
}

#[test]
fn a_prefix_has_acls_of_its_own_and_hands_default_ones_down() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let default =
        OzoneAclInfo { acl_scope: OzoneAclScope::Default.into(), ..rights::of_user("alice") };
    let path = "/vol/buck/p/";
    let refused = om.refused(add(ObjectType::Prefix, "/vol/buck/p", default.clone()));
    assert_eq!(refused.0, Status::InvalidPathInAclRequest);
    om.ok(add(ObjectType::Prefix, path, default.clone()));
    assert_eq!(acls(&om, ObjectType::Prefix, path), std::slice::from_ref(&default));
    assert_eq!(om.rows(&tables::PREFIX), [path]);
    om.put("p/q/key", 5);
    om.put("other", 5);
    let names = |om: &Om, path: &str| -> Vec<String> {
        acls(om, ObjectType::Key, path).into_iter().map(|acl| acl.name).collect()
    };
    assert_eq!(names(&om, "/vol/buck/p/q/key"), [USER, USER, "alice"]);
    assert_eq!(names(&om, "/vol/buck/other"), [USER, USER]);
    om.ok(remove(ObjectType::Prefix, path, default));
    assert!(om.rows(&tables::PREFIX).is_empty());
}

#[test]
fn who_may_not_is_refused_where_acls_are_enforced_and_only_there() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.put("key", 5);
    let mut request = create_key("new", 0);
    let mut ask = |om: &Om, user: &str| {
        prepare(&mut request, &om.ns(), &as_user(om, user)).map(|_| ()).map_err(Failure::into_error)
    };
    assert_eq!(ask(&om, "bob"), Ok(()));
    om.rules.acls_enforced = true;
    assert_eq!(ask(&om, "bob"), Ok(()), "the default authorizer lets everything pass");
    om.rules.native_authorizer = true;
    let error = ask(&om, "bob").unwrap_err();
    assert_eq!(error.status, Status::PermissionDenied);
    assert_eq!(
        error.message.unwrap(),
        "User bob doesn't have READ permission to access volume Volume:vol Bucket:buck "
    );
    assert_eq!(ask(&om, USER), Ok(()));
    om.rules.admins.users.push("bob".to_owned());
    assert_eq!(ask(&om, "bob"), Ok(()));
    om.rules.admins.users.clear();
    let read_list = |kind_of, path| {
        add(kind_of, path, OzoneAclInfo { rights: vec![0x09].into(), ..rights::of_user("bob") })
    };
    om.ok(read_list(ObjectType::Volume, "/vol"));
    let denied = ask(&om, "bob").unwrap_err().message.unwrap();
    assert_eq!(
        denied,
        "User bob doesn't have READ permission to access bucket Volume:vol Bucket:buck "
    );
    om.ok(read_list(ObjectType::Bucket, "/vol/buck"));
    let denied = ask(&om, "bob").unwrap_err().message.unwrap();
    assert_eq!(
        denied,
        "User bob doesn't have CREATE permission to access key Volume:vol Bucket:buck Key:new"
    );
    om.ok(add(ObjectType::Bucket, "/vol/buck", rights::of_user("bob")));
    assert_eq!(ask(&om, "bob"), Ok(()));
}

#[test]
fn a_secret_is_given_out_once_and_only_to_its_owner_or_an_administrator() {
    let mut om = Om::new();
    let get = |id: &str, create| OmRequest {
        get_s3_secret_request: Some(Box::new(GetS3SecretRequest {
            kerberos_id: id.into(),
            create_if_not_exist: Some(create),
        })),
        ..kind(Type::GetS3Secret)
    };
    assert_eq!(om.refused(get("root", false)).0, Status::AccessIdNotFound);
    let secret = om.ok(get("root", true)).get_s3_secret_response.unwrap().s3_secret;
    assert_eq!(secret.aws_secret.len(), 64);
    assert_eq!(om.refused(get("root", true)).0, Status::S3SecretAlreadyExists);
    assert_eq!(om.refused(get("alice", true)).0, Status::UserMismatch);
    om.rules.admins.users.push(USER.to_owned());
    om.ok(get("alice", true));
    let revoke = OmRequest {
        revoke_s3_secret_request: Some(Box::new(RevokeS3SecretRequest {
            kerberos_id: "alice".into(),
        })),
        ..kind(Type::RevokeS3Secret)
    };
    om.ok(revoke.clone());
    assert_eq!(om.write(revoke).status(), Status::S3SecretNotFound);
}

#[test]
fn a_path_too_short_for_what_it_names_is_malformed_and_more_than_a_volume_is_not() {
    let of = |res_type, path: &str| {
        let body = GetAclRequest { obj: object(res_type, path) };
        crate::command::acl::malformed(&mut OmRequest {
            get_acl_request: Some(Box::new(body)),
            ..kind(Type::GetAcl)
        })
    };
    let message = |what, path| Some(format!("Unexpected argument for Ozone {what}. Path:{path}"));
    assert_eq!(of(ObjectType::Bucket, "/vol"), message("bucket", "/vol"));
    assert_eq!(of(ObjectType::Key, "/vol//buck"), message("key", "/vol//buck"));
    assert_eq!(of(ObjectType::Prefix, ""), message("Prefix", ""));
    assert_eq!(of(ObjectType::Key, "/vol/buck/key"), None);
    let om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let of_volume = acls(&om, ObjectType::Volume, "/vol");
    assert_eq!(acls(&om, ObjectType::Volume, "/vol/buck"), of_volume);
}

#[test]
fn an_acl_that_a_java_ozone_manager_could_not_read_is_malformed_and_others_are_spelled_as_it_does()
{
    let malformed = |acl: OzoneAclInfo| {
        let mut request = create_key("key", 0);
        request.create_key_request.as_mut().unwrap().key_args.acls = vec![acl];
        let fault = crate::command::acl::malformed(&mut request);
        (fault, request.create_key_request.unwrap().key_args.acls.remove(0))
    };
    let nobody = rights::of_user("");
    assert_eq!(malformed(nobody).0, Some("user name is required".to_owned()));
    let everybody = |name: &str, rights: &'static [u8]| OzoneAclInfo {
        r#type: OzoneAclType::World.into(),
        name: name.into(),
        rights: rights.into(),
        acl_scope: OzoneAclScope::Access.into(),
    };
    let message = "Expected name WORLD, but was: bob";
    assert_eq!(malformed(everybody("bob", &[1])).0, Some(message.to_owned()));
    let many = "Expected at most 4 bytes but got 5";
    assert_eq!(malformed(everybody("", &[1, 0, 0, 0, 0])).0, Some(many.to_owned()));
    for (sent, stored) in [
        (&[][..], &[0][..]),
        (&[1], &[1]),
        (&[1, 0], &[1]),
        (&[0, 1], &[0, 1]),
        (&[1, 1, 0], &[1, 1]),
    ] {
        assert_eq!(malformed(everybody("", sent)), (None, everybody("WORLD", stored)));
    }
}

#[test]
fn the_acls_of_a_request_stand_beside_the_users_own_at_a_key_and_join_them_at_a_folder() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    let default =
        OzoneAclInfo { acl_scope: OzoneAclScope::Default.into(), ..rights::of_group("staff") };
    om.ok(add(ObjectType::Bucket, "/vol/buck", default.clone()));
    let list = OzoneAclInfo { rights: vec![8].into(), ..rights::of_user(USER) };
    let mut request = create_key("dir/key", 0);
    request.create_key_request.as_mut().unwrap().key_args.acls = vec![list.clone()];
    let key = om.ok(request).create_key_response.unwrap().key_info.unwrap();
    let inherited = rights::of_group("staff");
    let (own, group) = (rights::of_user(USER), rights::of_group(USER));
    assert_eq!(key.acls, [own.clone(), group.clone(), list.clone(), inherited]);
    let joined = OzoneAclInfo { rights: vec![0x88].into(), ..own };
    assert_eq!(acls(&om, ObjectType::Key, "/vol/buck/dir"), [joined, group, default]);
}

#[test]
fn a_new_prefix_is_set_with_what_it_inherits_and_nothing_is_taken_from_it() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let default =
        OzoneAclInfo { acl_scope: OzoneAclScope::Default.into(), ..rights::of_group("staff") };
    om.ok(add(ObjectType::Bucket, "/vol/buck", default));
    let gone = om.write(remove(ObjectType::Prefix, "/vol//buck/p/", rights::of_user("bob")));
    assert_eq!(gone.status(), Status::PrefixNotFound);
    assert_eq!(gone.message.unwrap(), "No prefix info for the prefix path: /vol/buck/p/");
    let set = |acl: Vec<OzoneAclInfo>| {
        let obj = object(ObjectType::Prefix, "/vol/buck/p/");
        let body = SetAclRequest { obj, acl, modification_time: None };
        OmRequest { set_acl_request: Some(Box::new(body)), ..kind(Type::SetAcl) }
    };
    om.ok(set(vec![rights::of_user("bob")]));
    let inherited = rights::of_group("staff");
    assert_eq!(acls(&om, ObjectType::Prefix, "/vol/buck/p/"), [rights::of_user("bob"), inherited]);
    om.ok(set(vec![rights::of_user("eve")]));
    assert_eq!(acls(&om, ObjectType::Prefix, "/vol/buck/p/"), [rights::of_user("eve")]);
}
