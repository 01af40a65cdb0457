//! Generates the headers of Hadoop RPC.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proto_build::Messages {
        files: &["RpcHeader.proto", "IpcConnectionContext.proto", "ProtobufRpcEngine.proto"],
        ..Default::default()
    }
    .generate()
}
