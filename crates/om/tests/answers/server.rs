//! Requests about the server, secrets, leases, and what belongs to features that are off.

use om_proto::*;

use crate::keys::{opened, put};
use crate::requests::*;
use crate::transcript::Transcript;

pub async fn all(t: &mut Transcript) {
    t.area("server");
    t.ask("unknown command", kind(Type::UnknownCommand)).await;
    t.ask("no body", kind(Type::CreateKey)).await;
    t.ask("no body of a read", kind(Type::InfoVolume)).await;
    for (name, read_only, size) in [("read", true, 3), ("write", false, 3), ("nothing", true, 0)] {
        let body = EchoRpcRequest {
            payload_req: Some(vec![1, 2].into()),
            payload_size_resp: Some(size),
            read_only: Some(read_only),
        };
        t.ask(&format!("echo {name}"), request!(EchoRpc, echo_rpc_request, body)).await;
    }
    t.ask(
        "s3 volume",
        request!(GetS3VolumeContext, get_s3_volume_context_request, GetS3VolumeContextRequest {}),
    )
    .await;
    let body = FinalizeUpgradeProgressRequest {
        upgrade_client_id: "x".into(),
        takeover: Some(false),
        readonly: Some(true),
    };
    t.ask(
        "upgrade progress",
        request!(FinalizeUpgradeProgress, finalize_upgrade_progress_request, body),
    )
    .await;
    let body = FinalizeUpgradeRequest { upgrade_client_id: "x".into() };
    t.ask("finalize upgrade", request!(FinalizeUpgrade, finalize_upgrade_request, body)).await;
    let body = PrepareStatusRequest { txn_id: 5 };
    t.ask("prepare status", request!(PrepareStatus, prepare_status_request, body)).await;
    let body = hdds_proto::common::GetDelegationTokenRequestProto::default();
    t.ask("delegation token", request!(GetDelegationToken, get_delegation_token_request, body))
        .await;
    t.ask(
        "refetch secret key",
        request!(RefetchSecretKey, refetch_secret_key_request, RefetchSecretKeyRequest {}),
    )
    .await;
    for mode in [SafeMode::Get, SafeMode::Enter] {
        let body = SetSafeModeRequest { safe_mode: mode.into() };
        t.ask(&format!("safe mode {mode:?}"), request!(SetSafeMode, set_safe_mode_request, body))
            .await;
    }
    t.ask(
        "quota repair status",
        request!(
            GetQuotaRepairStatus,
            get_quota_repair_status_request,
            GetQuotaRepairStatusRequest {}
        ),
    )
    .await;
    let body = DbUpdatesRequest { sequence_number: u64::MAX >> 2, limit_count: Some(1) };
    t.ask("updates from the future", request!(DbUpdates, db_updates_request, body)).await;
    for (name, sequence_number, limit_count) in
        [("some updates", 1, Some(5)), ("all updates", 1, None), ("no updates", 1, Some(0))]
    {
        let body = DbUpdatesRequest { sequence_number, limit_count };
        t.ask(name, request!(DbUpdates, db_updates_request, body)).await;
    }
    tokens(t).await;
    forgotten(t).await;
    let body = hdds_proto::hdds::TransferLeadershipRequestProto { new_leader_id: String::new() };
    t.ask(
        "transfer leadership",
        request!(TransferLeadership, transfer_om_leadership_request, body),
    )
    .await;
    tenants(t).await;
    secrets(t).await;
}

/// There are none without security.
async fn tokens(t: &mut Transcript) {
    for (name, identifier) in
        [("empty", &b""[..]), ("broken", b"\x0a\xff\xff"), ("other", b"\x08\x01")]
    {
        let token = hdds_proto::common::TokenProto {
            identifier: identifier.to_vec().into(),
            password: bytes::Bytes::from_static(b"secret"),
            kind: "OzoneToken".into(),
            service: "om".into(),
        };
        let body = hdds_proto::common::RenewDelegationTokenRequestProto { token: token.clone() };
        t.ask(
            &format!("renew {name} token"),
            request!(RenewDelegationToken, renew_delegation_token_request, body),
        )
        .await;
        let body = hdds_proto::common::CancelDelegationTokenRequestProto { token };
        t.ask(
            &format!("cancel {name} token"),
            request!(CancelDelegationToken, cancel_delegation_token_request, body),
        )
        .await;
    }
}

/// Types that have a number and no server any more.
async fn forgotten(t: &mut Transcript) {
    t.ask("list trash", kind(Type::ListTrash)).await;
    t.ask("recover trash", kind(Type::RecoverTrash)).await;
    t.ask("purge paths", kind(Type::PurgePaths)).await;
}

async fn tenants(t: &mut Transcript) {
    t.area("tenant");
    t.ask("list", request!(ListTenant, list_tenant_request, ListTenantRequest {})).await;
    let body = TenantGetUserInfoRequest { user_principal: Some("x".into()) };
    t.ask("info of user", request!(TenantGetUserInfo, tenant_get_user_info_request, body)).await;
    let body = TenantListUserRequest { tenant_id: Some("t".into()), prefix: None };
    t.ask("list users", request!(TenantListUser, tenant_list_user_request, body)).await;
    let body = CreateTenantRequest { tenant_id: Some("t".into()), ..Default::default() };
    t.ask("create", request!(CreateTenant, create_tenant_request, body)).await;
    let body = DeleteTenantRequest { tenant_id: Some("t".into()) };
    t.ask("delete", request!(DeleteTenant, delete_tenant_request, body)).await;
}

async fn secrets(t: &mut Transcript) {
    t.area("secret");
    let get = |id: &str, create| {
        let body = GetS3SecretRequest { kerberos_id: id.into(), create_if_not_exist: Some(create) };
        request!(GetS3Secret, get_s3_secret_request, body)
    };
    let set = |id: &str, secret: &str| {
        let body =
            SetS3SecretRequest { access_id: Some(id.into()), secret_key: Some(secret.into()) };
        request!(SetS3Secret, set_s3_secret_request, body)
    };
    let revoke = |id: &str| {
        let body = RevokeS3SecretRequest { kerberos_id: id.into() };
        request!(RevokeS3Secret, revoke_s3_secret_request, body)
    };
    t.ask("get absent", get("nosuch", false)).await;
    t.ask("get new", get("testuser", true)).await;
    t.ask("get again", get("testuser", true)).await;
    t.ask("get existing", get("testuser", false)).await;
    t.ask("set", set("testuser", "a-long-secret")).await;
    t.ask("set short", set("testuser", "short")).await;
    t.ask("set missing", set("nosuch", "a-long-secret")).await;
    t.ask("revoke", revoke("testuser")).await;
    t.ask("revoke again", revoke("testuser")).await;
    t.user("mallory");
    t.ask("get of somebody else", get("testuser", true)).await;
    t.ask("get own", get("mallory", true)).await;
    t.ask("set of somebody else", set("testuser", "a-long-secret")).await;
    t.ask("revoke of somebody else", revoke("testuser")).await;
    t.ask("revoke own", revoke("mallory")).await;
    t.user("root");
}

/// Clients of older versions see less.
pub async fn old_clients(t: &mut Transcript, volume_name: &'static str) {
    t.area("old clients");
    let at = At(volume_name, "ecold");
    let info = BucketInfo {
        default_replication_config: Some(hdds_proto::hdds::DefaultReplicationConfig {
            r#type: 4,
            factor: None,
            ec_replication_config: Some(ec(3, 2, 1 << 20)),
        }),
        ..bucket(at, Some(BucketLayoutProto::Legacy))
    };
    t.must("bucket", create_bucket(info)).await;
    let fso = At(volume_name, "fsold");
    t.must("fso", create_bucket(bucket(fso, Some(BucketLayoutProto::FileSystemOptimized)))).await;
    put(t, fso, "key", 1).await;
    for (place, at) in [("ec", at), ("fso", fso)] {
        let empty = KeyArgs { data_size: Some(0), ..at.args("k") };
        let open = opened(&t.ask(&format!("{place}: create"), create_key(empty)).await);
        t.ask(&format!("{place}: commit"), commit(at.args("k"), open.id)).await;
        for version in [0, 1, 2] {
            for (name, request) in [
                ("info bucket", info_bucket(at)),
                ("list buckets", list_buckets(at.0, "", &at.1[..3], 10)),
                ("lookup", lookup(at.args("k"))),
                ("key info", key_info(at.args("k"))),
                ("list keys", list_keys(false, at, "", "", 10)),
                ("list keys light", list_keys(true, at, "", "", 10)),
                ("status", status(at.args("k"))),
                ("lookup file", lookup_file(at.args("k"))),
                ("list status", list_status(false, at.args(""), false, "", 10, false)),
                ("create key", create_key(KeyArgs { data_size: Some(0), ..at.args("new") })),
                ("create file", create_file(at.args("new"), true, true)),
                ("mkdir", create_directory(at.args("dir"))),
                ("rename", rename(at.args("nope"), "x")),
                ("delete", delete_key(at.args("nope"))),
                ("delete keys", delete_keys(at, &["nope"])),
                ("delete bucket", delete_bucket(at)),
            ] {
                let request = OmRequest { version: Some(version), ..request };
                t.ask(&format!("{place}, version {version}: {name}"), request).await;
            }
        }
    }
}

/// On a server with hsync.
pub async fn leases(t: &mut Transcript, volume_name: &'static str, layout: BucketLayoutProto) {
    t.area(&format!("lease {}", layout.as_str_name().to_lowercase()));
    let at = At(volume_name, "lease");
    t.must("bucket", create_bucket(bucket(at, Some(layout)))).await;
    let args = |size: u64, blocks: &[KeyLocation], key: &str| KeyArgs {
        data_size: Some(size),
        key_locations: blocks.iter().map(|b| KeyLocation { length: size, ..b.clone() }).collect(),
        ..at.args(key)
    };
    let open = opened(&t.ask("create", create_key(args(5, &[], "d/file"))).await);
    t.ask("open files", open_files("", 10)).await;
    t.ask("hsync", hsync(args(3, &open.blocks, "d/file"), open.id, true, false)).await;
    t.ask("info after hsync", key_info(at.args("d/file"))).await;
    t.ask("hsync again", hsync(args(4, &open.blocks, "d/file"), open.id, true, false)).await;
    t.ask("bucket after hsync", info_bucket(at)).await;
    t.ask("open files after hsync", open_files(&format!("/{}/{}", at.0, at.1), 10)).await;
    t.ask("rename of open file", rename(at.args("d/file"), "d/other")).await;
    t.ask("recover inside limit", recover_lease(at, "d/file", false)).await;
    t.ask("recover missing", recover_lease(at, "d/nope", true)).await;
    t.ask("recover forced", recover_lease(at, "d/file", true)).await;
    t.ask("hsync under recovery", hsync(args(5, &open.blocks, "d/file"), open.id, true, false))
        .await;
    t.ask("allocate under recovery", allocate(at.args("d/file"), open.id)).await;
    t.ask("commit under recovery", commit(args(5, &open.blocks, "d/file"), open.id)).await;
    t.ask("recover again", recover_lease(at, "d/file", true)).await;
    t.ask("commit recovery", hsync(args(4, &open.blocks, "d/file"), open.id, false, true)).await;
    t.ask("commit recovery again", hsync(args(4, &open.blocks, "d/file"), open.id, false, true))
        .await;
    t.ask("recover closed", recover_lease(at, "d/file", true)).await;
    t.ask("info after recovery", key_info(at.args("d/file"))).await;
    let first = opened(&t.ask("first writer", create_key(args(5, &[], "d/two"))).await);
    t.ask("first hsync", hsync(args(5, &first.blocks, "d/two"), first.id, true, false)).await;
    let second = opened(&t.ask("second writer", create_key(args(5, &[], "d/two"))).await);
    t.ask("second commit", commit(args(5, &second.blocks, "d/two"), second.id)).await;
    t.ask("first hsync again", hsync(args(5, &first.blocks, "d/two"), first.id, true, false)).await;
    let third = opened(&t.ask("third writer", create_key(args(5, &[], "d/gone"))).await);
    t.ask("third hsync", hsync(args(5, &third.blocks, "d/gone"), third.id, true, false)).await;
    t.ask("delete open file", delete_key(at.args("d/gone"))).await;
    t.ask("third commit", commit(args(5, &third.blocks, "d/gone"), third.id)).await;
    t.ask("open files at last", open_files(&format!("/{}/{}", at.0, at.1), 1)).await;
    t.ask("bucket at last", info_bucket(at)).await;
}

fn open_files(path: &str, count: u32) -> OmRequest {
    let body = ListOpenFilesRequest {
        path: Some(path.into()),
        count: Some(count),
        token: Some(String::new()),
    };
    request!(ListOpenFiles, list_open_files_request, body)
}
