//! An Ozone Manager before and after a change of version: what it takes while it is prepared, and from
//! whom.

use om_proto::*;

use crate::requests::*;
use crate::transcript::Transcript;

/// Seconds until an unfinished preparation is given up, and between looks at it.
const WAIT_SECONDS: (u64, u64) = (60, 1);

fn prepare() -> OmRequest {
    let args = PrepareRequestArgs {
        txn_apply_wait_timeout_seconds: Some(WAIT_SECONDS.0),
        txn_apply_check_interval_seconds: Some(WAIT_SECONDS.1),
    };
    request!(Prepare, prepare_request, PrepareRequest { args })
}

fn cancel() -> OmRequest {
    request!(CancelPrepare, cancel_prepare_request, CancelPrepareRequest {})
}

fn prepare_status() -> OmRequest {
    request!(PrepareStatus, prepare_status_request, PrepareStatusRequest { txn_id: 5 })
}

fn finalize() -> OmRequest {
    let body = FinalizeUpgradeRequest { upgrade_client_id: "x".into() };
    request!(FinalizeUpgrade, finalize_upgrade_request, body)
}

fn progress(readonly: bool, takeover: bool) -> OmRequest {
    let body = FinalizeUpgradeProgressRequest {
        upgrade_client_id: "x".into(),
        takeover: Some(takeover),
        readonly: Some(readonly),
    };
    request!(FinalizeUpgradeProgress, finalize_upgrade_progress_request, body)
}

pub async fn all(t: &mut Transcript) {
    t.area("upgrade");
    t.ask("cancel of nothing", cancel()).await;
    for (name, readonly, takeover) in
        [("looked at", true, false), ("of a stranger", false, false), ("taken over", false, true)]
    {
        t.ask(&format!("progress {name}"), progress(readonly, takeover)).await;
    }
    t.user("mallory");
    t.ask("prepare by a stranger", prepare()).await;
    t.ask("finalize by a stranger", finalize()).await;
    t.user("root");
    t.ask("cancel before", cancel()).await;
    t.ask("write before", create_volume(volume("vbefore"))).await;
    t.ask("prepare", prepare()).await;
    t.ask("status", prepare_status()).await;
    let at = At("vbefore", "bucket");
    for (name, request) in [
        ("volume", create_volume(volume("vmeanwhile"))),
        ("bucket", create_bucket(bucket(at, None))),
        ("key", create_key(at.args("key"))),
        ("rename", rename(at.args("a"), "b")),
        ("delete", delete_key(at.args("a"))),
        ("delete bucket", delete_bucket(at)),
        ("finalize", finalize()),
        ("progress", progress(true, false)),
        ("read", info_bucket(at)),
        ("listing", list_buckets(at.0, "", "", 10)),
        ("status", prepare_status()),
        ("prepare", prepare()),
    ] {
        t.ask(&format!("{name} when prepared"), request).await;
    }
    t.user("mallory");
    t.ask("cancel by a stranger", cancel()).await;
    t.user("root");
    t.ask("status after that", prepare_status()).await;
    t.ask("cancel", cancel()).await;
    t.ask("status after cancel", prepare_status()).await;
    t.ask("write after", create_volume(volume("vafter"))).await;
}
