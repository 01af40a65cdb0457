use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::proto::rpc_sasl_proto::SaslAuth;
use crate::proto::{RequestHeaderProto, RpcResponseHeaderProto, UserInformationProto};
use crate::server::{CallContext, Protocol, RpcError};

struct Nothing;

#[async_trait]
impl Protocol for Nothing {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    async fn call(&self, _: CallContext, _: &str, _: Bytes) -> Result<Bytes, RpcError> {
        Ok(Bytes::new())
    }
}

const CLIENT: [u8; 16] = *b"0123456789abcdef";
const OM: &str = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";

fn session(sasl: bool, entries: &[(&str, &str)]) -> Session {
    let registry = Arc::new(Registry::new(vec![(OM, Arc::new(Nothing))]));
    let policy = ProxyUsers::from_entries(entries.iter().copied());
    let policy = (!entries.is_empty()).then(|| Arc::new(policy));
    Session::new(registry, policy, "127.0.0.1:5".parse().unwrap(), sasl)
}

fn frame(call_id: i32, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    wire::put_request_header(&mut out, call_id, &CLIENT, wire::NO_RETRY, payload.len());
    out.put_slice(payload);
    out.freeze().slice(4..)
}

fn context(user: &str, real: Option<&str>) -> Bytes {
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some(user.to_owned()),
            real_user: real.map(str::to_owned),
        }),
        protocol: Some("a.b.Bogus".to_owned()),
    };
    frame(wire::CONTEXT_CALL, &context.encode_length_delimited_to_vec())
}

fn call(protocol: &str, method: &str, version: u64) -> Bytes {
    let target = RequestHeaderProto {
        method_name: method.to_owned(),
        declaring_class_protocol_name: protocol.to_owned(),
        client_protocol_version: version,
    };
    let mut payload = target.encode_length_delimited_to_vec();
    payload.extend([3, 1, 2, 3]);
    frame(7, &payload)
}

fn sasl(state: SaslState, auths: usize) -> Bytes {
    let auth = SaslAuth { method: "TOKEN".into(), mechanism: "M".into(), ..Default::default() };
    let message =
        RpcSaslProto { state: state.into(), auths: vec![auth; auths], ..Default::default() };
    frame(wire::SASL_CALL, &message.encode_length_delimited_to_vec())
}

/// `last?`, call id, detail, class and message of an answer.
fn told(meaning: Meaning) -> (bool, i32, i32, String, String) {
    let (last, mut bytes) = match meaning {
        Meaning::Answer(bytes) => (false, bytes),
        Meaning::Last(bytes) => (true, bytes),
        other => panic!("{other:?}"),
    };
    let length = u32::from_be_bytes(bytes.split_to(4)[..].try_into().unwrap());
    assert_eq!(length as usize, bytes.len());
    let header = wire::delimited(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "an error carries no message");
    let header = RpcResponseHeaderProto::decode(header).unwrap();
    assert_eq!(header.status, if last { 2 } else { 1 });
    assert_eq!(header.server_ipc_version_num, Some(9));
    assert_eq!(header.client_id.unwrap().len(), if last { 0 } else { 16 });
    (
        last,
        header.call_id.cast_signed(),
        header.error_detail.unwrap(),
        header.exception_class_name.unwrap(),
        header.error_msg.unwrap(),
    )
}

#[test]
fn the_recorded_bytes_of_a_genuine_client_mean_a_call() {
    let mut session = session(false, &[]);
    let id = hex(b"00112233445566778899aabbccddeeff");
    assert_eq!(
        Preamble::read(hex(b"68727063090000").try_into().unwrap()),
        Preamble::Rpc { sasl: false }
    );
    let mut first = hex(b"1a0802100018052210");
    first.extend(&id);
    first.extend(hex(b"28014212060a04"));
    first.extend(b"root\x1a\x38");
    first.extend(OM.as_bytes());
    assert_eq!(first.len(), 0x5e);
    assert!(matches!(session.frame(first.into()), Meaning::Nothing));

    let mut second = hex(b"1a0802100018002210");
    second.extend(&id);
    second.extend(hex(b"28004b0a0d"));
    second.extend(b"submitRequest\x12\x38");
    second.extend(OM.as_bytes());
    second.extend([0x18, 1]);
    let mut request = hex(b"083312001a13");
    request.extend(b"client-F881587584C9");
    request.extend(hex(b"28033a0208019a0300"));
    second.push(request.len() as u8);
    second.extend(&request);
    assert_eq!(second.len(), 0x8a);
    let Meaning::Call(call) = session.frame(second.into()) else { panic!() };
    assert_eq!((call.header.call_id, call.header.retry), (0, 0));
    assert_eq!(call.header.client_id, id);
    assert_eq!(call.target.method, "submitRequest");
    assert_eq!(&*call.peer.user, "root");
    assert_eq!(call.request, request);

    let mut answer = BytesMut::new();
    wire::put_success(&mut answer, 0, &id, 0, 0x63);
    let mut expected = hex(b"0000007f1a08001000180 93a10".as_slice());
    expected.extend(&id);
    expected.extend(hex(b"400063"));
    // The recorded header has call id 0; 0x7f = 1 + 26 + 1 + 99.
    assert_eq!(answer[..], expected[..]);
}

fn hex(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().filter(|c| **c != b' ').copied().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn a_first_seven_bytes_that_are_not_ours_get_the_answer_their_sender_understands() {
    let refuse = |bytes: &[u8; 7]| match Preamble::read(*bytes) {
        Preamble::Refuse(answer) => answer,
        rpc => panic!("{rpc:?}"),
    };
    assert!(refuse(b"GET / H").starts_with(b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain"));

    let mismatch = "org.apache.hadoop.ipc_.RPC$VersionMismatch".to_owned();
    let text =
        |version| format!("Server IPC version 9 cannot communicate with client version {version}");
    for (bytes, version) in [(b"hrpc\x0a\0\0", 10), (b"abcd\x09\0\0", 9), (b"hrpc\x7f\0\0", 127)] {
        let told = told(Meaning::Last(refuse(bytes)));
        assert_eq!(told, (true, -1, 14, mismatch.clone(), text(version)));
    }
    for version in 3..9 {
        let mut bytes = *b"hrpc\0\0\0";
        bytes[4] = version;
        let answer = refuse(&bytes);
        let message = text(version);
        let mut expected = vec![0xff; 8];
        for part in [&mismatch, &message] {
            expected.extend((part.len() as u32).to_be_bytes());
            expected.extend(part.as_bytes());
        }
        assert_eq!(answer, expected);
    }
    assert!(refuse(b"hrpc\x02\0\0").starts_with(&[0, 0, 0, 0, 1, 0, 0, 0, 42]));
    for version in [0, 1, 0x80, 0xff] {
        assert!(refuse(&[b'h', b'r', b'p', b'c', version, 0, 0]).is_empty());
    }

    let unknown = "org.apache.hadoop.ipc_.IpcException".to_owned();
    for (auth, number) in [(1_u8, 1), (0x80, -128), (0xde, -34)] {
        let told = told(Meaning::Last(refuse(&[b'h', b'r', b'p', b'c', 9, 0, auth])));
        let message = format!("Unknown auth protocol:{number}");
        assert_eq!(told, (true, -1, 15, unknown.clone(), message));
    }
    assert_eq!(Preamble::read(*b"hrpc\x09\x05\xdf"), Preamble::Rpc { sasl: true });
}

#[test]
fn garbage_frames_get_their_genuine_refusals() {
    let server = "org.apache.hadoop.ipc_.RpcServerException";
    let header = |kind: &[u8], op: &[u8], id: u8| {
        let mut bytes = [kind, op, &[0x18, id, 0x22, 0]].concat();
        bytes.insert(0, bytes.len() as u8);
        Bytes::from(bytes)
    };
    let cases: Vec<(&str, bool, Bytes, i32, i32, &str)> = vec![
        ("an empty frame", false, Bytes::new(), -1, 13, "Error decoding RpcRequestHeaderProto"),
        ("a cut header", false, Bytes::from_static(&[9, 8, 2]), -1, 13, "Error decoding"),
        ("no required fields", false, Bytes::from_static(&[2, 8, 2]), -1, 13, "callId, clientId"),
        ("no operation", false, header(&[8, 2], &[], 0), 0, 12, "without an operation"),
        ("operation 2", false, header(&[8, 2], &[0x10, 2], 0), 0, 12, "operation 2"),
        ("no kind", false, header(&[], &[0x10, 0], 0), 0, 12, "without a kind"),
        (
            "a call before the context",
            false,
            call(OM, "submitRequest", 1),
            7,
            12,
            "Connection context not established",
        ),
        ("kind 1", true, header(&[8, 1], &[0x10, 0], 0), 0, 12, "RPC kind 1"),
        ("kind 0", true, header(&[8, 0], &[0x10, 0], 0), 0, 12, "RPC kind 0"),
        ("an unknown negative id", true, frame(-2, &[]), -2, 12, "Unknown out of band call #-2"),
        ("a second context", true, context("a", None), -3, 12, "already processed"),
        ("a context that is none", false, frame(-3, &[5, 1]), -3, 13, "IpcConnectionContextProto"),
        ("SASL unasked", true, sasl(SaslState::Negotiate, 0), -33, 12, "not requested"),
    ];
    for (what, established, bytes, call_id, detail, text) in cases {
        let mut session = session(false, &[]);
        if established {
            assert!(matches!(session.frame(context("root", None)), Meaning::Nothing), "{what}");
        }
        let (last, id, code, class, message) = told(session.frame(bytes));
        assert_eq!((last, id, code, class.as_str()), (true, call_id, detail, server), "{what}");
        assert!(message.contains(text), "{what}: {message}");
    }
}

#[test]
fn a_call_that_cannot_be_dispatched_fails_alone() {
    let mut session = session(false, &[]);
    session.frame(context("root", None));
    let cases = [
        (
            call(OM, "other", 1),
            2,
            "org.apache.hadoop.ipc_.RpcNoSuchMethodException",
            "Unknown method other called on a.b.Bogus protocol.",
        ),
        (
            call("a.b.C", "submitRequest", 1),
            3,
            "org.apache.hadoop.ipc_.RpcNoSuchProtocolException",
            "Unknown protocol: a.b.C",
        ),
        (
            call(OM, "submitRequest", 2),
            6,
            "org.apache.hadoop.ipc_.RPC$VersionMismatch",
            "Protocol org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol version mismatch. (client = 2, server = 1)",
        ),
        (
            frame(7, &[3, 0x0a, 1, b'm', 0]),
            1,
            "com.google.protobuf.InvalidProtocolBufferException",
            "Message missing required fields: declaringClassProtocolName",
        ),
        (
            frame(7, &[]),
            1,
            "com.google.protobuf.InvalidProtocolBufferException",
            "the message ended in the middle of a field",
        ),
    ];
    for (bytes, detail, class, message) in cases {
        assert_eq!(told(session.frame(bytes)), (false, 7, detail, class.into(), message.into()));
    }
    // The protocol in the context decides nothing.
    assert!(matches!(session.frame(call(OM, "submitRequest", 1)), Meaning::Call(_)));
    assert!(matches!(session.frame(call(OM, "submitRequest", 1)), Meaning::Call(_)));
    assert!(matches!(session.frame(frame(wire::PING_CALL, &[])), Meaning::Nothing));
}

#[test]
fn sasl_is_answered_with_success_and_then_forgotten() {
    let mut session = session(true, &[]);
    let early = told(session.frame(context("root", None)));
    assert_eq!((early.0, early.1, early.2), (true, -3, 12));
    let Meaning::Answer(answer) = session.frame(sasl(SaslState::Negotiate, 0)) else { panic!() };
    let expected = hex(b"00000012 0e 08dfffffff0f 1000 1809 3a00 4001 02 1000".as_slice());
    assert_eq!(answer, expected);
    assert!(matches!(session.frame(context("root", None)), Meaning::Nothing));
    assert_eq!(told(session.frame(sasl(SaslState::Negotiate, 0))).2, 12);
}

#[test]
fn sasl_steps_out_of_order_are_unauthorized() {
    for (bytes, text) in [
        (sasl(SaslState::Response, 0), "unsupported state RESPONSE"),
        (sasl(SaslState::Wrap, 0), "unsupported state WRAP"),
        (sasl(SaslState::Initiate, 0), "malformed"),
    ] {
        let (last, id, detail, class, message) = told(session(true, &[]).frame(bytes));
        assert_eq!((last, id, detail), (true, -33, 15));
        assert_eq!(class, "javax.security.sasl.SaslException");
        assert!(message.contains(text), "{message}");
    }
    assert!(matches!(session(true, &[]).frame(sasl(SaslState::Initiate, 1)), Meaning::Answer(_)));
}

#[test]
fn proxy_users_need_a_rule() {
    let denied = |entries: &[(&str, &str)]| {
        told(session(false, entries).frame(context("alice", Some("root"))))
    };
    let class = "org.apache.hadoop.security.authorize.AuthorizationException".to_owned();
    let message = "User: root is not allowed to impersonate alice".to_owned();
    let expected = (true, -3, 15, class, message);
    assert_eq!(denied(&[]), expected);
    assert_eq!(denied(&[("hadoop.proxyuser.other.users", "*")]), expected);

    let rules = [("hadoop.proxyuser.root.users", "alice"), ("hadoop.proxyuser.root.hosts", "*")];
    let mut session = session(false, &rules);
    assert!(matches!(session.frame(context("alice", Some("root"))), Meaning::Nothing));
    let Meaning::Call(call) = session.frame(call(OM, "submitRequest", 1)) else { panic!() };
    assert_eq!((&*call.peer.user, call.peer.real_user.as_deref()), ("alice", Some("root")));
}

proptest! {
    #[test]
    fn random_frames_never_panic(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20),
        established: bool,
    ) {
        let mut session = session(false, &[]);
        if established {
            session.frame(context("root", None));
        }
        for bytes in frames {
            session.frame(bytes.into());
        }
    }

    #[test]
    fn spoilt_calls_never_panic(at in 0_usize..120, byte: u8) {
        let mut session = session(false, &[]);
        session.frame(context("root", None));
        let mut bytes = call(OM, "submitRequest", 1).to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        session.frame(bytes.into());
    }
}
