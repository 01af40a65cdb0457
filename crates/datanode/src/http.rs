//! The datanode's HTTP port: `HddsDatanodeServiceInfo`, metrics.

use std::sync::Arc;

use ozone_config::Configuration;
use ozone_http::axum::Router;
use ozone_http::{Bean, Daemon, HttpServer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::node::Node;

/// Serves the port until it is shut down.
pub fn serve(listener: Option<TcpListener>, node: &Arc<Node>, conf: &Configuration) -> HttpServer {
    let registry = ozone_http::registry("HddsDatanode", &node.settings.host_name);
    crate::metrics::register(&registry, node);
    let seen = Arc::clone(node);
    let daemon = Daemon {
        title: "Datanode",
        conf: Arc::new(conf.clone()),
        registry,
        beans: Arc::new(move || vec![info(&seen)]),
    };
    HttpServer::serve(listener, &node.settings.http, daemon, Router::new())
}

/// `HddsDatanodeServiceInfo` (`DNMXBean`), and for people the disks and pipelines.
fn info(node: &Node) -> Bean {
    let identity = node.identity.lock().clone();
    let services = node.services();
    let client_port = services.as_ref().map(|services| services.raft.addresses().1.port());
    let volumes: Vec<Value> = services
        .iter()
        .flat_map(|services| services.store.storage_reports())
        .map(|report| json!(report.storage_location))
        .collect();
    let pipelines = services.as_ref().map_or(0, |services| services.raft.groups().len());
    let attributes = [
        ("Hostname", json!(identity.host_name)),
        ("DatanodeUuid", json!(identity.id.to_string())),
        ("ClientRpcPort", json!(node.address.port().to_string())),
        ("RatisPort", json!(client_port)),
        ("HttpPort", json!(node.http_port.map(|port| port.to_string()))),
        ("HttpsPort", Value::Null),
        ("ClusterId", json!(services.as_ref().map(|services| services.cluster_id.clone()))),
        ("OperationalState", json!(identity.state.name())),
        ("Volumes", json!(volumes)),
        ("Pipelines", json!(pipelines)),
        ("Namespace", Value::Null),
        ("Version", json!(ozone_http::version())),
        ("SoftwareVersion", json!(ozone_http::OZONE_VERSION)),
        ("StartedTimeInMillis", json!(node.started_ms)),
    ];
    let name =
        "Hadoop:service=HddsDatanodeService,name=HddsDatanodeServiceInfo,component=ServerRuntime";
    Bean {
        name: name.to_owned(),
        modeler: "org.apache.hadoop.ozone.HddsDatanodeService",
        attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}
