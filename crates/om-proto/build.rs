//! Generates the messages of the Ozone Manager.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    proto_build::Messages {
        files: &["OmClientProtocol.proto", "OMAdminProtocol.proto", "OmInterServiceProtocol.proto"],
        envelopes: &["OMRequest", "OMResponse"],
        grpc: &["OzoneManagerService"],
        elsewhere: &[
            (".hadoop.hdds", "::hdds_proto::hdds"),
            (".hadoop.common", "::hdds_proto::common"),
        ],
        ..Default::default()
    }
    .generate()?;
    // Names here clash with those of the client protocol, though the package is the same.
    proto_build::Messages {
        folder: "storage",
        files: &["OmStorageProtocol.proto"],
        elsewhere: &[(".hadoop.hdds", "::hdds_proto::hdds")],
        ..Default::default()
    }
    .generate()
}
