//! A server and clients over loopback sockets.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use hadoop_rpc::client::{CallError, ClientSettings, RpcClient};
use hadoop_rpc::proto::*;
use hadoop_rpc::server::*;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

const ECHO: &str = "a.b.EchoProtocol";
/// Long enough for a loaded machine; a test that works never waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Answers what it is asked; some methods wait.
#[derive(Default)]
struct Echo {
    gate: Gate,
    begun: AtomicUsize,
    finished: AtomicUsize,
    changed: Notify,
}

struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Echo {
    async fn wait_for(&self, counter: impl Fn(&Self) -> usize, count: usize) {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                if counter(self) >= count {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(DEADLINE, reached).await.expect("the count is reached");
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Protocol for Echo {
    fn methods(&self) -> &'static [&'static str] {
        &["echo", "gate", "task", "fail", "panic", "who", "big"]
    }

    fn placement(&self, method: &str, _: &Bytes) -> Placement {
        if method == "task" { Placement::Task } else { Placement::Connection }
    }

    async fn call(
        &self,
        context: CallContext,
        method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
        let answer = match method {
            "gate" => {
                self.gate.0.acquire().await.unwrap().forget();
                Ok(request)
            }
            "fail" => Err(RpcError::new("a.b.NotLeaderException", "ask somebody else")),
            "panic" => panic!("on purpose"),
            "big" => Ok(Bytes::from(vec![7; 20 << 20])),
            "who" => Ok(format!(
                "{} {:?} {} {}",
                context.user, context.real_user, context.call_id, context.retry_count
            )
            .into()),
            _ => Ok(request),
        };
        self.finished.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
        answer
    }
}

async fn start(settings: ServerSettings) -> (RpcServer, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let protocols: Vec<(&'static str, Arc<dyn Protocol>)> = vec![(ECHO, echo.clone())];
    let address = "127.0.0.1:0".parse().unwrap();
    (RpcServer::start(address, settings, protocols).await.unwrap(), echo)
}

fn client() -> RpcClient {
    RpcClient::new(ClientSettings::default(), "alice")
}

async fn call(
    client: &RpcClient,
    address: SocketAddr,
    method: &'static str,
    request: impl Into<Bytes>,
) -> Result<Bytes, CallError> {
    client.call(address, ECHO, method, client.next_call(), request.into()).await
}

/// A client by hand, with header and context sent.
async fn raw(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some("raw".into()),
            real_user: None,
        }),
        protocol: Some(ECHO.into()),
    };
    let mut bytes = b"hrpc\x09\0\0".to_vec();
    bytes.extend(request_frame(-3, &context.encode_length_delimited_to_vec()));
    stream.write_all(&bytes).await.unwrap();
    stream
}

fn request_frame(call_id: i32, payload: &[u8]) -> Vec<u8> {
    let header = RpcRequestHeaderProto {
        rpc_kind: Some(2),
        rpc_op: Some(0),
        call_id,
        client_id: Bytes::from_static(&[9; 16]),
        retry_count: Some(0),
        ..Default::default()
    };
    let header = header.encode_length_delimited_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u32((header.len() + payload.len()) as u32);
    frame.put_slice(&header);
    frame.put_slice(payload);
    frame.to_vec()
}

fn call_frame(call_id: i32, method: &str, request: &[u8]) -> Vec<u8> {
    let target = RequestHeaderProto {
        method_name: method.into(),
        declaring_class_protocol_name: ECHO.into(),
        client_protocol_version: 1,
    };
    let mut payload = target.encode_length_delimited_to_vec();
    prost::encoding::encode_varint(request.len() as u64, &mut payload);
    payload.extend(request);
    request_frame(call_id, &payload)
}

async fn answer(stream: &mut TcpStream) -> (RpcResponseHeaderProto, Bytes) {
    let read = async {
        let length = stream.read_u32().await.unwrap() as usize;
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await.unwrap();
        let mut frame = Bytes::from(frame);
        let header = RpcResponseHeaderProto::decode_length_delimited(&mut frame).unwrap();
        if !frame.is_empty() {
            let length = prost::encoding::decode_varint(&mut frame).unwrap();
            assert_eq!(length as usize, frame.len());
        }
        (header, frame)
    };
    tokio::time::timeout(DEADLINE, read).await.expect("an answer")
}

async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    match end.expect("the server closes") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    rest
}

#[tokio::test]
async fn calls_go_round_with_all_sizes_of_messages() {
    let (server, _) = start(ServerSettings::default()).await;
    let client = client();
    for size in [0, 1, 1024, 5000, 100_000, 10 << 20] {
        let request = Bytes::from(vec![3; size]);
        assert_eq!(
            call(&client, server.address(), "echo", request.clone()).await.unwrap(),
            request
        );
    }
    assert_eq!(call(&client, server.address(), "big", "").await.unwrap().len(), 20 << 20);
    assert_eq!(call(&client, server.address(), "task", "t").await.unwrap(), "t");
    let id = client.next_call().again();
    let told = client.call(server.address(), ECHO, "who", id, Bytes::new()).await.unwrap();
    assert_eq!(told, format!("alice None {} 1", id.call));
    server.shutdown().await;
}

#[tokio::test]
async fn errors_and_panics_are_answers_and_the_connection_goes_on() {
    let (server, _) = start(ServerSettings::default()).await;
    let client = client();
    let told = |error: CallError| match error {
        CallError::Remote { class, message, fatal: false } => (class, message),
        other => panic!("{other}"),
    };
    let failed = told(call(&client, server.address(), "fail", "").await.unwrap_err());
    assert_eq!(failed, ("a.b.NotLeaderException".to_owned(), "ask somebody else".to_owned()));
    let failed = told(call(&client, server.address(), "panic", "").await.unwrap_err());
    assert_eq!(failed.0, "java.lang.RuntimeException");
    let failed = told(call(&client, server.address(), "nothing", "").await.unwrap_err());
    assert_eq!(failed.0, "org.apache.hadoop.ipc_.RpcNoSuchMethodException");
    assert_eq!(server.load().connections, 1);
    assert_eq!(call(&client, server.address(), "echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn ten_thousand_pipelined_calls_are_all_answered_once() {
    let settings = ServerSettings { calls_per_connection_max: 50, ..Default::default() };
    let (server, _) = start(settings).await;
    let mut stream = raw(server.address()).await;
    let (mut reader, mut writer) = stream.split();
    let send = async {
        for call in 0..10_000 {
            let method = if call % 7 == 0 { "task" } else { "echo" };
            writer.write_all(&call_frame(call, method, &call.to_be_bytes())).await.unwrap();
        }
    };
    let receive = async {
        let mut seen = HashSet::new();
        while seen.len() < 10_000 {
            let length = reader.read_u32().await.unwrap() as usize;
            let mut frame = vec![0; length];
            reader.read_exact(&mut frame).await.unwrap();
            let mut frame = Bytes::from(frame);
            let header = RpcResponseHeaderProto::decode_length_delimited(&mut frame).unwrap();
            assert_eq!(header.status, 0);
            assert_eq!(frame[1..], header.call_id.to_be_bytes());
            assert!(seen.insert(header.call_id));
        }
    };
    let both = async { tokio::join!(send, receive) };
    tokio::time::timeout(DEADLINE, both).await.expect("all are answered");
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_later_ones_on_its_connection() {
    let (server, echo) = start(ServerSettings::default()).await;
    let mut stream = raw(server.address()).await;
    stream.write_all(&call_frame(0, "gate", b"slow")).await.unwrap();
    for call in 1..100 {
        stream.write_all(&call_frame(call, "echo", b"fast")).await.unwrap();
        let (header, message) = answer(&mut stream).await;
        assert_eq!((header.call_id, &message[..]), (call as u32, &b"fast"[..]));
    }
    echo.gate.0.add_permits(1);
    let (header, message) = answer(&mut stream).await;
    assert_eq!((header.call_id, &message[..]), (0, &b"slow"[..]));
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_unread_until_others_are_done() {
    let settings = ServerSettings { calls_max: 3, ..Default::default() };
    let (server, echo) = start(settings).await;
    let mut first = raw(server.address()).await;
    let mut second = raw(server.address()).await;
    for call in 0..3 {
        first.write_all(&call_frame(call, "gate", b"")).await.unwrap();
    }
    echo.wait_for(Echo::begun, 3).await;
    second.write_all(&call_frame(0, "echo", b"")).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), second.read_u32()).await;
    assert!(early.is_err(), "it must wait");
    assert_eq!((echo.begun(), server.load().calls), (3, 3));
    echo.gate.0.add_permits(1);
    assert_eq!(answer(&mut second).await.0.status, 0);
    echo.gate.0.add_permits(2);
    for _ in 0..3 {
        answer(&mut first).await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_not_served_without_end() {
    let settings = ServerSettings { unsent_bytes_max: 1 << 20, ..Default::default() };
    let (server, echo) = start(settings).await;
    let mut stream = raw(server.address()).await;
    // 20 MB per answer; what the sockets and the limit do not take is never computed.
    for call in 0..50 {
        stream.write_all(&call_frame(call, "big", b"")).await.unwrap();
    }
    echo.wait_for(Echo::begun, 1).await;
    assert_eq!(call(&client(), server.address(), "echo", "x").await.unwrap(), "x");
    assert!(echo.begun() < 10, "{}", echo.begun());
    for _ in 0..50 {
        assert_eq!(answer(&mut stream).await.1.len(), 20 << 20);
    }
}

#[tokio::test]
async fn lengths_out_of_bounds_and_garbage_close_the_socket() {
    let (server, _) = start(ServerSettings::default()).await;
    for length in [-1, i32::MIN, (128 << 20) + 1, i32::MAX] {
        let mut stream = raw(server.address()).await;
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(closed(&mut stream).await.is_empty(), "{length}");
    }
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /jmx HTTP/1.1\r\nHost: om\r\n\r\n").await.unwrap();
    let page = String::from_utf8(closed(&mut stream).await).unwrap();
    assert!(page.starts_with("HTTP/1.1 404 Not Found\r\n") && page.ends_with("\r\n"), "{page}");
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03").await.unwrap();
    assert!(closed(&mut stream).await.is_empty());
    // A fatal answer arrives although more was sent after what caused it.
    let mut stream = raw(server.address()).await;
    let mut bytes = request_frame(-7, &[]);
    bytes.extend(call_frame(1, "echo", &[0; 100_000]));
    stream.write_all(&bytes).await.unwrap();
    let (header, _) = answer(&mut stream).await;
    assert_eq!((header.status, header.call_id.cast_signed()), (2, -7));
    assert!(closed(&mut stream).await.is_empty());
    assert_eq!(call(&client(), server.address(), "echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_frame_that_comes_byte_by_byte_is_served_when_it_is_whole() {
    let (server, _) = start(ServerSettings::default()).await;
    let mut stream = raw(server.address()).await;
    stream.set_nodelay(true).unwrap();
    for byte in call_frame(5, "echo", b"slowly") {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&mut stream).await.1, "slowly");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let settings = ServerSettings { connections_max: 1, ..Default::default() };
    let (server, _) = start(settings).await;
    let mut first = raw(server.address()).await;
    first.write_all(&call_frame(0, "echo", b"")).await.unwrap();
    answer(&mut first).await;
    let mut second = TcpStream::connect(server.address()).await.unwrap();
    assert!(closed(&mut second).await.is_empty());
}

#[tokio::test]
async fn a_stop_finishes_calls_in_service_and_refuses_new_ones() {
    let (server, echo) = start(ServerSettings::default()).await;
    let address = server.address();
    let client = client();
    let pending = tokio::spawn({
        let client = client.clone();
        async move { call(&client, address, "gate", "last").await }
    });
    echo.wait_for(Echo::begun, 1).await;
    let stop = tokio::spawn(server.shutdown());
    // The port is free once nobody accepts any more.
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.expect("the port is closed");
    assert!(!stop.is_finished());
    echo.gate.0.add_permits(1);
    assert_eq!(pending.await.unwrap().unwrap(), "last");
    tokio::time::timeout(DEADLINE, stop).await.expect("it stops").unwrap();
    let error = call(&client, address, "echo", "").await.unwrap_err();
    assert!(matches!(error, CallError::Connection { .. }), "{error}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let settings =
        ServerSettings { drain_timeout: Duration::from_millis(50), ..Default::default() };
    let (server, echo) = start(settings).await;
    let mut stream = raw(server.address()).await;
    stream.write_all(&call_frame(0, "gate", b"")).await.unwrap();
    echo.wait_for(Echo::begun, 1).await;
    tokio::time::timeout(DEADLINE, server.shutdown()).await.expect("it stops");
    assert!(closed(&mut stream).await.is_empty());
}

#[tokio::test]
async fn a_call_is_finished_although_its_client_went_away() {
    let (server, echo) = start(ServerSettings::default()).await;
    let mut stream = raw(server.address()).await;
    stream.write_all(&call_frame(0, "gate", b"")).await.unwrap();
    echo.wait_for(Echo::begun, 1).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream); // a reset, not an orderly end
    let gone = async {
        while server.load().connections > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("the connection is gone");
    assert_eq!(echo.finished(), 0);
    echo.gate.0.add_permits(1);
    echo.wait_for(Echo::finished, 1).await;
}

#[tokio::test]
async fn clients_report_refusals_timeouts_and_broken_connections() {
    let (server, echo) = start(ServerSettings::default()).await;
    let settings = ClientSettings { call_timeout: Duration::from_millis(50), ..Default::default() };
    let hasty = RpcClient::new(settings, "alice");
    let error = call(&hasty, server.address(), "gate", "").await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    echo.gate.0.add_permits(1);

    let proxy = RpcClient::proxy(ClientSettings::default(), "alice", "bob");
    let error = call(&proxy, server.address(), "echo", "").await.unwrap_err();
    let CallError::Remote { class, message, fatal: true } = error else { panic!("{error}") };
    assert!(class.ends_with(".AuthorizationException"));
    assert_eq!(message, "User: bob is not allowed to impersonate alice");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let careless = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0xff; 8];
        for text in ["a.b.VersionMismatch", "too new"] {
            bytes.extend((text.len() as u32).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let client = client();
    let error = call(&client, address, "echo", "").await.unwrap_err();
    assert!(matches!(error, CallError::Connection { .. }), "{error}");
    let error = call(&client, address, "echo", "").await.unwrap_err();
    assert_eq!(error.to_string(), "a.b.VersionMismatch: too new");
    drop(client);
    careless.await.unwrap();
}

#[tokio::test]
async fn a_client_pings_while_it_waits_and_closes_when_it_idles() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = ClientSettings {
        ping_interval: Duration::from_millis(30),
        idle_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let client = RpcClient::new(settings, "alice");
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut preamble = [0; 7];
        stream.read_exact(&mut preamble).await.unwrap();
        let mut calls = Vec::new();
        while calls.len() < 4 {
            let length = stream.read_u32().await.unwrap() as usize;
            let mut frame = vec![0; length];
            stream.read_exact(&mut frame).await.unwrap();
            let mut frame = Bytes::from(frame);
            calls.push(RpcRequestHeaderProto::decode_length_delimited(&mut frame).unwrap().call_id);
        }
        assert_eq!(calls, [-3, 0, -4, -4]);
        // SUCCESS for call 0 with an empty message.
        stream.write_all(&[0, 0, 0, 6, 4, 0x08, 0, 0x10, 0, 0]).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    });
    assert_eq!(call(&client, address, "echo", "").await.unwrap(), "");
    tokio::time::timeout(DEADLINE, peer).await.expect("the client closes").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_one_connection() {
    let (server, _) = start(ServerSettings::default()).await;
    let (client, address) = (client(), server.address());
    let tasks: Vec<_> = (0..64_u32)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for round in 0..100_u32 {
                    let request = Bytes::from([task.to_be_bytes(), round.to_be_bytes()].concat());
                    let method = if round % 3 == 0 { "task" } else { "echo" };
                    let answer = call(&client, address, method, request.clone()).await.unwrap();
                    assert_eq!(answer, request);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.load().connections, 1);
}
