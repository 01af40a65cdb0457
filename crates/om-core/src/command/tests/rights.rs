use om_proto::ozone_obj::{ObjectType, StoreType};

use super::*;
use crate::acl;
use crate::rules::Admins;

/// Bob and Eve have primary groups of their own; Bob is in `staff` besides.
struct Host;

impl Groups for Host {
    fn primary(&self, user: &str) -> Option<Arc<str>> {
        Some(user.into())
    }

    fn include(&self, user: &str, group: &str) -> bool {
        user == group || (user, group) == ("bob", "staff")
    }
}

/// ACLs are enforced, and root is the administrator.
fn strict(layout: BucketLayoutProto) -> Om {
    let mut om = Om::with_bucket(layout);
    om.rules.acls_enforced = true;
    om.rules.native_authorizer = true;
    om.rules.admins.users = vec![USER.into()];
    om
}

impl Om {
    fn user<'a>(&self, user: &'a str) -> Caller<'a> {
        Caller { user, groups: &Host, ..self.caller() }
    }

    fn grant(&mut self, res_type: ObjectType, path: &str, acl: OzoneAclInfo) {
        let store_type = StoreType::Ozone.into();
        let obj = OzoneObj { res_type: res_type.into(), store_type, path: path.into() };
        let body = AddAclRequest { obj, acl, modification_time: None };
        self.ok(OmRequest { add_acl_request: Some(Box::new(body)), ..kind(Type::AddAcl) });
    }

    fn delete_as(&mut self, user: &str, keys: &[&str], denied: &[&str]) -> OmResponse {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let delete_keys = Some(DeleteKeyArgs {
            volume_name: "vol".into(),
            bucket_name: "buck".into(),
            keys: names(keys),
        });
        let body = DeleteKeysRequest { delete_keys, denied: names(denied) };
        let body = Some(Box::new(body));
        let caller = self.user(user);
        self.write_as(&caller, OmRequest { delete_keys_request: body, ..kind(Type::DeleteKeys) })
    }
}

fn info_bucket() -> OmRequest {
    let body = InfoBucketRequest { volume_name: "vol".into(), bucket_name: "buck".into() };
    OmRequest { info_bucket_request: Some(Box::new(body)), ..kind(Type::InfoBucket) }
}

#[test]
fn a_user_has_the_rights_of_all_his_groups() {
    let mut om = strict(BucketLayoutProto::ObjectStore);
    for (kind, path) in [(ObjectType::Volume, "/vol"), (ObjectType::Bucket, "/vol/buck")] {
        om.grant(kind, path, acl::of_group("staff"));
    }
    assert_eq!(om.read_as(&om.user("bob"), info_bucket()).status(), Status::Ok);
    assert_eq!(om.read_as(&om.user("eve"), info_bucket()).status(), Status::PermissionDenied);
    om.rules.read_only_admins = Admins { users: Vec::new(), groups: vec!["eve".into()] };
    assert_eq!(om.read_as(&om.user("eve"), info_bucket()).status(), Status::Ok);
    om.rules.blacklist = Admins { users: Vec::new(), groups: vec!["staff".into()] };
    assert_eq!(om.read_as(&om.user("bob"), info_bucket()).status(), Status::PermissionDenied);
}

#[test]
fn an_administrator_on_the_blacklist_may_nothing() {
    let mut om = strict(BucketLayoutProto::ObjectStore);
    om.put("one", 0);
    om.put("two", 0);
    om.rules.read_blacklist.users = vec![USER.into()];
    assert_eq!(om.read(info_bucket()).status(), Status::PermissionDenied);
    om.ok(delete_key("one", false));
    om.rules.blacklist.users = vec![USER.into()];
    assert_eq!(om.refused(delete_key("two", false)).0, Status::PermissionDenied);
}

#[test]
fn a_batch_leaves_what_the_caller_may_not_delete_and_says_so() {
    for layout in [BucketLayoutProto::ObjectStore, BucketLayoutProto::FileSystemOptimized] {
        let mut om = strict(layout);
        om.put("his", 1);
        om.put("hers", 1);
        om.grant(ObjectType::Volume, "/vol", acl::of_user("bob"));
        om.grant(ObjectType::Bucket, "/vol/buck", acl::of_user("bob"));
        om.grant(ObjectType::Key, "/vol/buck/his", acl::of_user("bob"));
        let reply = om.delete_as("bob", &["his", "hers", "nope"], &[]);
        assert_eq!(reply.status(), Status::PartialDelete, "{:?}", reply.message);
        let body = reply.delete_keys_response.unwrap();
        let code = |at: usize| body.errors[at].error_code.as_deref();
        assert_eq!((code(0), code(1)), (Some("ACCESS_DENIED"), Some("KEY_NOT_FOUND")));
        assert_eq!(body.un_deleted_keys.as_ref().unwrap().keys, ["hers", "nope"]);
        assert_eq!(om.info("his").status(), Status::KeyNotFound);
        assert_eq!(om.info("hers").status(), Status::Ok);
    }
}

#[test]
fn what_a_client_says_about_denied_keys_is_not_believed() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.put("key", 1);
    let reply = om.delete_as(USER, &["key"], &["key"]);
    assert_eq!(reply.status(), Status::Ok);
    assert_eq!(om.info("key").status(), Status::KeyNotFound);
}

#[test]
fn a_folder_is_deleted_or_moved_only_with_rights_on_all_that_is_in_it() {
    let mut om = strict(BucketLayoutProto::FileSystemOptimized);
    om.grant(ObjectType::Volume, "/vol", acl::of_user("bob"));
    om.grant(ObjectType::Bucket, "/vol/buck", acl::of_user("bob"));
    for name in ["dir/one", "dir/sub/two", "dir/sub/deep/three"] {
        om.put(name, 0);
    }
    for path in ["dir", "dir/one", "dir/sub", "dir/sub/two", "dir/sub/deep"] {
        let bob = om.user("bob");
        let refused = om.write_as(&bob, delete_key("dir", true));
        assert_eq!(refused.status(), Status::PermissionDenied, "before {path}");
        let refused = om.write_as(&bob, rename_key("dir", "moved"));
        assert_eq!(refused.status(), Status::PermissionDenied, "before {path}");
        om.grant(ObjectType::Key, &format!("/vol/buck/{path}"), acl::of_user("bob"));
    }
    om.grant(ObjectType::Key, "/vol/buck/dir/sub/deep/three", acl::of_user("bob"));
    let bob = om.user("bob");
    assert_eq!(om.write_as(&bob, rename_key("dir", "moved")).status(), Status::Ok);
    assert_eq!(om.write_as(&bob, delete_key("moved", true)).status(), Status::Ok);
}

#[test]
fn who_follows_a_link_needs_to_read_it() {
    let mut om = strict(BucketLayoutProto::ObjectStore);
    om.put("key", 0);
    for (name, acls) in [("closed", Vec::new()), ("open", vec![acl::of_user("bob")])] {
        let mut link = create_bucket("vol", name, BucketLayoutProto::ObjectStore);
        let info = &mut link.create_bucket_request.as_mut().unwrap().bucket_info;
        (info.source_volume, info.source_bucket) = (Some("vol".into()), Some("buck".into()));
        info.acls = acls;
        om.ok(link);
    }
    om.grant(ObjectType::Volume, "/vol", acl::of_user("bob"));
    om.grant(ObjectType::Bucket, "/vol/buck", acl::of_user("bob"));
    om.grant(ObjectType::Key, "/vol/buck/key", acl::of_user("bob"));
    let through = |link: &str, mut request: OmRequest| {
        if let Some(body) = &mut request.get_key_info_request {
            body.key_args.bucket_name = link.into();
        }
        if let Some(body) = &mut request.delete_key_request {
            body.key_args.bucket_name = link.into();
        }
        request
    };
    let body = GetKeyInfoRequest { key_args: args("key"), ..Default::default() };
    let read = OmRequest { get_key_info_request: Some(Box::new(body)), ..kind(Type::GetKeyInfo) };
    let bob = om.user("bob");
    let refused = om.read_as(&bob, through("closed", read.clone()));
    assert_eq!(refused.status(), Status::PermissionDenied);
    let refused = om.write_as(&bob, through("closed", delete_key("key", false)));
    assert_eq!(refused.status(), Status::PermissionDenied);
    assert_eq!(om.read_as(&bob, through("open", read)).status(), Status::Ok);
    let deleted = om.write_as(&bob, through("open", delete_key("key", false)));
    assert_eq!(deleted.status(), Status::Ok);
}

#[test]
fn a_list_of_volumes_shows_what_a_user_may_list() {
    let mut om = strict(BucketLayoutProto::ObjectStore);
    om.ok(create_volume("other"));
    om.grant(ObjectType::Volume, "/vol", acl::of_group("staff"));
    let list = |om: &Om, caller: &str, user: &str| {
        let scope = list_volume_request::Scope::VolumesByUser.into();
        let max_keys = Some(10);
        let body = ListVolumeRequest {
            scope,
            user_name: Some(user.into()),
            max_keys,
            ..Default::default()
        };
        let request =
            OmRequest { list_volume_request: Some(Box::new(body)), ..kind(Type::ListVolume) };
        let reply = om.read_as(&om.user(caller), request);
        let volumes = reply.list_volume_response.as_ref().map(|r| r.volume_info.clone());
        let names = volumes.unwrap_or_default().into_iter().map(|volume| volume.volume);
        (reply.status(), names.collect::<Vec<_>>())
    };
    assert_eq!(list(&om, "bob", "bob"), (Status::Ok, vec!["vol".to_owned()]));
    assert_eq!(list(&om, "eve", "eve"), (Status::Ok, Vec::new()));
    assert_eq!(list(&om, USER, "bob"), (Status::Ok, vec!["vol".to_owned()]));
    assert_eq!(list(&om, "eve", "bob").1, ["vol"]);
    om.rules.list_all_volumes = false;
    assert_eq!(list(&om, "eve", "bob").0, Status::PermissionDenied);
    assert_eq!(list(&om, "eve", "eve").0, Status::Ok);
    assert_eq!(list(&om, USER, USER).1, ["other", "vol"]);
    om.rules.native_authorizer = false;
    assert_eq!(list(&om, "eve", "eve").1.len(), 2);
}
