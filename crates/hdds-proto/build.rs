//! Generates the messages of the block layer.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proto_build::Messages {
        files: &[
            "hdds.proto",
            "Security.proto",
            "ScmAdminProtocol.proto",
            "ScmServerProtocol.proto",
            "ScmServerSecurityProtocol.proto",
            "ScmSecretKeyProtocol.proto",
            "ScmServerDatanodeHeartbeatProtocol.proto",
            "SCMRatisProtocol.proto",
            "InterSCMProtocol.proto",
            "SCMUpdateProtocol.proto",
            "DatanodeClientProtocol.proto",
            "DiskBalancerProtocol.proto",
            "ReconfigureProtocol.proto",
        ],
        envelopes: &[
            "ContainerCommandRequestProto",
            "ContainerCommandResponseProto",
            "ScmContainerLocationRequest",
            "ScmContainerLocationResponse",
            "SCMBlockLocationRequest",
            "SCMBlockLocationResponse",
            "SCMDatanodeRequest",
            "SCMDatanodeResponse",
            "SCMCommandProto",
        ],
        grpc: &[
            "XceiverClientProtocolService",
            "IntraDatanodeProtocolService",
            "InterSCMProtocolService",
        ],
        ..Default::default()
    }
    .generate()
}
