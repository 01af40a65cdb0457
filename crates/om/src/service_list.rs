//! `ServiceList`: this OM, then SCM.

use bytes::Bytes;
use hdds_proto::hdds::NodeType;
use om_core::command;
use om_proto::{
    FsServerDefaultsProto, OmRequest, OmRoleInfo, ServiceInfo, ServiceListResponse, ServicePort,
    service_port,
};

use crate::server::Service;
use crate::submit::encode;

/// `OzoneManagerVersion.ATOMIC_CREATE_IF_NOT_EXISTS`: what clients may ask of this OM.
const OM_VERSION: i32 = 12;

impl Service {
    /// This OM and SCM, with the ports that are really open.
    pub(crate) fn services(&self) -> Vec<ServiceInfo> {
        use service_port::Type;
        let port =
            |kind: Type, value: u16| ServicePort { r#type: kind.into(), value: value.into() };
        let om = ServiceInfo {
            node_type: NodeType::Om.into(),
            hostname: self.settings.rpc.host.clone(),
            service_ports: vec![
                port(Type::Ratis, self.settings.ratis_port),
                port(Type::Rpc, self.rpc_port()),
                port(Type::Http, self.http_port),
                port(Type::Https, self.settings.https.port),
            ],
            om_role: Some(OmRoleInfo {
                node_id: self.settings.node.clone(),
                server_role: "LEADER".to_owned(),
            }),
            om_version: Some(OM_VERSION),
            server_defaults: Some(FsServerDefaultsProto {
                key_provider_uri: self.settings.encryption.path.clone(),
            }),
        };
        let scms = self.scm_addresses.iter().map(|address| ServiceInfo {
            node_type: NodeType::Scm.into(),
            hostname: address.host.clone(),
            service_ports: vec![port(Type::Rpc, address.port)],
            om_role: None,
            om_version: Some(0),
            server_defaults: Some(FsServerDefaultsProto::default()),
        });
        std::iter::once(om).chain(scms).collect()
    }

    pub(crate) fn service_list(&self, request: &OmRequest) -> Bytes {
        let mut reply = command::reply_to(request);
        reply.service_list_response = Some(Box::new(ServiceListResponse {
            service_info: self.services(),
            ca_certificate: None,
            ca_certs: Vec::new(),
        }));
        encode(&reply)
    }
}
