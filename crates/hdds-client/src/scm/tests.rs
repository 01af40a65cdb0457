//! The clients against servers that answer as SCMs do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Protocol, RpcError, RpcServer, ServerSettings};
use hdds_proto::block::{ScmBlockLocationRequest, ScmBlockLocationResponse, Status, Type};
use hdds_proto::hdds::{self, GetScmInfoResponseProto, ScmDatanodeRequest, ScmDatanodeResponse};
use parking_lot::Mutex;
use prost::Message;

use super::*;
use crate::addresses::HostPort;

/// What a fake SCM says to a call.
type Script = Box<dyn Fn(usize, &CallContext, Bytes) -> Result<Bytes, RpcError> + Send + Sync>;

struct Fake {
    script: Script,
    calls: AtomicUsize,
    seen: Mutex<Vec<(i32, i32)>>,
}

#[async_trait]
impl Protocol for Fake {
    fn methods(&self) -> &'static [&'static str] {
        &["send", "submitRequest"]
    }

    async fn call(&self, context: CallContext, _: &str, request: Bytes) -> Result<Bytes, RpcError> {
        self.seen.lock().push((context.call_id, context.retry_count));
        (self.script)(self.calls.fetch_add(1, Ordering::SeqCst), &context, request)
    }
}

async fn scm(
    script: impl Fn(usize, &CallContext, Bytes) -> Result<Bytes, RpcError> + Send + Sync + 'static,
) -> (RpcServer, HostPort, Arc<Fake>) {
    let fake = Arc::new(Fake {
        script: Box::new(script),
        calls: AtomicUsize::new(0),
        seen: Mutex::new(Vec::new()),
    });
    let protocols: Vec<(&'static str, Arc<dyn Protocol>)> = vec![
        (block::PROTOCOL, fake.clone()),
        (location::PROTOCOL, fake.clone()),
        (datanode::PROTOCOL, fake.clone()),
    ];
    let address = "127.0.0.1:0".parse().unwrap();
    let server = RpcServer::start(address, ServerSettings::default(), protocols).await.unwrap();
    let address = server.address().into();
    (server, address, fake)
}

fn settings() -> ScmClientSettings {
    ScmClientSettings {
        retry_interval: Duration::from_millis(1),
        retry_timeout: Duration::from_millis(5),
        retries_min: 5,
        ..Default::default()
    }
}

fn info(request: Bytes) -> Result<Bytes, RpcError> {
    let request = ScmBlockLocationRequest::decode(request).map_err(RpcError::malformed)?;
    assert_eq!((request.cmd_type, request.version), (Type::GetScmInfo.into(), Some(3)));
    let response = ScmBlockLocationResponse {
        cmd_type: request.cmd_type,
        status: Status::Ok.into(),
        get_scm_info_response: Some(Box::new(GetScmInfoResponseProto {
            cluster_id: "CID-1".into(),
            scm_id: "scm".into(),
            peer_roles: vec![],
        })),
        ..Default::default()
    };
    Ok(response.encode_to_vec().into())
}

fn not_leader(suggested: Option<&HostPort>) -> RpcError {
    let hint = match suggested {
        Some(leader) => format!("Suggested leader is Server:{leader}."),
        None => "Could not determine the leader node.".to_owned(),
    };
    RpcError::new(
        "org.apache.hadoop.hdds.ratis.ServerNotLeaderException",
        format!("FOLLOWER Server:5f1d(host) is not the leader. {hint}"),
    )
}

#[tokio::test]
async fn a_client_follows_the_hint_to_the_leader_and_stays_there() {
    let (_s3, leader, third) = scm(|_, _, request| info(request)).await;
    let hint = leader.clone();
    let (_s1, first, one) = scm(move |_, _, _| Err(not_leader(Some(&hint)))).await;
    let (_s2, second, two) = scm(|_, _, _| Err(not_leader(None))).await;
    let client = ScmBlockClient::new(vec![first, second, leader], settings(), "om");
    assert_eq!(client.get_scm_info().await.unwrap().cluster_id, "CID-1");
    assert_eq!(client.get_scm_info().await.unwrap().scm_id, "scm");
    // The retry keeps the call's id and counts; the next call starts afresh at the leader.
    assert_eq!(*one.seen.lock(), [(0, 0)]);
    assert!(two.seen.lock().is_empty());
    assert_eq!(*third.seen.lock(), [(0, 1), (1, 0)]);
}

#[tokio::test]
async fn without_a_hint_every_scm_is_asked_in_turn_also_one_that_is_down() {
    let (down, gone, _) = scm(|_, _, request| info(request)).await;
    down.shutdown().await;
    let (_s2, second, two) = scm(|_, _, _| Err(not_leader(None))).await;
    let (_s3, third, _) = scm(|_, _, request| info(request)).await;
    let client = ScmBlockClient::new(vec![gone, second, third], settings(), "om");
    assert_eq!(client.get_scm_info().await.unwrap().cluster_id, "CID-1");
    assert_eq!(*two.seen.lock(), [(0, 1)]);
}

#[tokio::test]
async fn a_leader_that_is_not_ready_is_asked_again() {
    let class = "org.apache.hadoop.hdds.scm.ha.RetriableWithNoFailoverException";
    let (_s1, first, one) = scm(move |count, _, request| match count {
        0 | 1 => Err(RpcError::new(class, "LeaderNotReadyException")),
        _ => info(request),
    })
    .await;
    let (_s2, second, two) = scm(|_, _, request| info(request)).await;
    let client = ScmBlockClient::new(vec![first, second], settings(), "om");
    client.get_scm_info().await.unwrap();
    assert_eq!(*one.seen.lock(), [(0, 0), (0, 1), (0, 2)]);
    assert!(two.seen.lock().is_empty());
}

#[tokio::test]
async fn retries_end_and_say_what_the_last_one_was() {
    let (_server, address, fake) = scm(|_, _, _| Err(not_leader(None))).await;
    let client = ScmBlockClient::new(vec![address], settings(), "om");
    let error = client.get_scm_info().await.unwrap_err();
    let ScmError::Unavailable { tries: 6, last } = error else { panic!("{error}") };
    assert!(last.contains("is not the leader"), "{last}");
    assert_eq!(fake.seen.lock().len(), 6);
}

#[tokio::test]
async fn refusals_reach_the_caller_with_their_code() {
    let (_server, address, fake) = scm(|count, _, _| match count {
        0 => Ok(ScmBlockLocationResponse {
            cmd_type: Type::GetScmInfo.into(),
            status: Status::SafeModeException.into(),
            success: Some(false),
            message: Some("SafeModePrecheck failed for allocateBlock".into()),
            ..Default::default()
        }
        .encode_to_vec()
        .into()),
        1 => Err(RpcError::new("org.apache.hadoop.security.AccessControlException", "no")),
        _ => Ok(Bytes::from_static(b"\xff\xff")),
    })
    .await;
    let client = ScmBlockClient::new(vec![address], settings(), "om");
    let error = client.get_scm_info().await.unwrap_err();
    assert!(error.is_safe_mode() && error.status() == Some(Status::SafeModeException), "{error}");
    let error = client.get_scm_info().await.unwrap_err();
    assert!(error.class().ends_with("AccessControlException"), "{error}");
    assert!(matches!(client.get_scm_info().await.unwrap_err(), ScmError::Malformed(_)));
    assert_eq!(fake.seen.lock().len(), 3);
}

#[tokio::test]
async fn a_datanode_hears_of_failures_at_once() {
    let (server, address, _) = scm(|count, context, request| {
        assert_eq!(&*context.user, "dn");
        let request = ScmDatanodeRequest::decode(request).map_err(RpcError::malformed)?;
        assert!(request.get_version_request.is_some());
        if count == 1 {
            return Err(RpcError::io("not yet"));
        }
        let response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            status: hdds::Status::Ok.into(),
            get_version_response: Some(Box::new(hdds::ScmVersionResponseProto {
                software_version: 1,
                keys: vec![],
            })),
            ..Default::default()
        };
        Ok(response.encode_to_vec().into())
    })
    .await;
    let client = ScmDatanodeClient::new(address, &settings(), "dn");
    assert_eq!(client.get_version().await.unwrap().software_version, 1);
    assert!(matches!(client.get_version().await.unwrap_err(), ScmError::Remote { .. }));
    server.shutdown().await;
    assert!(matches!(client.get_version().await.unwrap_err(), ScmError::Unavailable { .. }));
}
