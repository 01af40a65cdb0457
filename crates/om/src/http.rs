//! The OM's HTTP port: `OzoneManagerInfo`, `/serviceList`, metrics.

use std::sync::Arc;

use hadoop_rpc::server::RpcServer;
use om_proto::ServiceInfo;
use ozone_config::Configuration;
use ozone_http::axum::{Router, response::IntoResponse, routing::get};
use ozone_http::{Bean, Daemon, HttpServer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::server::Service;

/// Serves the port until it is shut down.
pub(crate) fn serve(
    listener: Option<TcpListener>,
    service: &Arc<Service>,
    rpc: &RpcServer,
    conf: &Configuration,
) -> HttpServer {
    let registry = ozone_http::registry("OzoneManager", &service.settings.rpc.host);
    crate::metrics::register(&registry, service);
    let buffer = Arc::clone(&service.buffer);
    registry.register(move |records| buffer.collect(records));
    registry.register(rpc.source("OzoneManagerService"));
    let seen = Arc::clone(service);
    let daemon = Daemon {
        title: "Ozone Manager",
        conf: Arc::new(conf.clone()),
        registry,
        beans: Arc::new(move || vec![info(&seen)]),
    };
    let settings = service.settings.http_server.clone();
    HttpServer::serve(listener, &settings, daemon, own_routes(service))
}

fn own_routes(service: &Arc<Service>) -> Router {
    let service = Arc::clone(service);
    let page = move || {
        let list: Vec<Value> = service.services().iter().map(as_value).collect();
        let text = serde_json::to_string_pretty(&list).unwrap_or_default();
        let kind = [("content-type", "application/json; charset=utf8")];
        std::future::ready((kind, text).into_response())
    };
    Router::new().route("/serviceList", get(page))
}

fn as_value(info: &ServiceInfo) -> Value {
    let node = hdds_proto::hdds::NodeType::try_from(info.node_type);
    let mut ports = Map::new();
    for port in &info.service_ports {
        if let Ok(kind) = om_proto::service_port::Type::try_from(port.r#type) {
            ports.insert(kind.as_str_name().to_owned(), json!(port.value));
        }
    }
    let node = node.map_or("", |node| node.as_str_name());
    json!({ "nodeType": node, "hostname": info.hostname, "ports": ports })
}

/// `OzoneManagerInfo` (`OMMXBean`).
fn info(service: &Service) -> Bean {
    let settings = &service.settings;
    let info = service.raft.info(service.group);
    let leader = info.as_ref().and_then(|info| info.leadership.leader.clone());
    let roles: Vec<Value> = info
        .iter()
        .flat_map(|info| &info.peers)
        .map(|peer| {
            let id = String::from_utf8_lossy(&peer.id).into_owned();
            let (host, port) = peer.address.rsplit_once(':').unwrap_or((&peer.address, ""));
            let leads = leader.as_ref().is_some_and(|leader| leader.to_string() == id);
            let ready = if leads { "LEADER_AND_READY" } else { "NOT_LEADER" };
            json!([host, id, port, if leads { "LEADER" } else { "FOLLOWER" }, ready])
        })
        .collect();
    let attributes = [
        ("Hostname", json!(settings.rpc.host)),
        ("RpcPort", json!(service.rpc_port().to_string())),
        ("RatisRoles", json!(roles)),
        ("RatisLogDirectory", json!(settings.ratis_directory.display().to_string())),
        ("RocksDbDirectory", json!(settings.directory.display().to_string())),
        ("Namespace", json!(settings.service)),
        ("Version", json!(ozone_http::version())),
        ("SoftwareVersion", json!(ozone_http::OZONE_VERSION)),
        ("StartedTimeInMillis", json!(service.started_ms)),
    ];
    Bean {
        name: "Hadoop:service=OzoneManager,name=OzoneManagerInfo,component=ServerRuntime"
            .to_owned(),
        modeler: "org.apache.hadoop.ozone.om.OzoneManager",
        attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}
