//! Generates the messages of Ratis.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proto_build::Messages {
        files: &["Raft.proto", "Grpc.proto", "Netty.proto"],
        grpc: &["RaftClientProtocolService", "RaftServerProtocolService", "AdminProtocolService"],
        ..Default::default()
    }
    .generate()
}
