use super::*;

const PIPELINE_ID: &str = "2f6b9c3e-7b1a-4c5d-9e8f-0a1b2c3d4e5f";

fn pipeline() -> Pipeline {
    Pipeline {
        id: convert::pipeline_id_proto(PIPELINE_ID.parse().unwrap()),
        state: Some(1),
        r#type: Some(1),
        factor: Some(3),
        ..Pipeline::default()
    }
}

#[test]
fn an_entry_has_the_bytes_that_java_writes() {
    let pipeline = pipeline();
    let body = pipeline.encode_to_vec();
    let entry = Call::AddPipeline(Box::new(pipeline)).encode();

    // Recorded shape: 08 01, 12 <method>{ 0a 0b "addPipeline", 12 <arg>{ 0a 39 <class>, 12 <body> } }
    let mut arg = vec![0x0a, 0x39];
    arg.extend_from_slice(b"org.apache.hadoop.hdds.protocol.proto.HddsProtos$Pipeline");
    arg.extend_from_slice(&[0x12, body.len() as u8]);
    arg.extend_from_slice(&body);
    let mut method = vec![0x0a, 0x0b];
    method.extend_from_slice(b"addPipeline");
    method.push(0x12);
    prost::encoding::encode_varint(arg.len() as u64, &mut method);
    method.extend_from_slice(&arg);
    let mut expected = vec![0x08, 0x01, 0x12];
    prost::encoding::encode_varint(method.len() as u64, &mut expected);
    expected.extend_from_slice(&method);
    assert_eq!(entry.as_ref(), expected.as_slice());
}

#[test]
fn every_call_survives_the_log() {
    let summary = DeletedBlocksTransactionSummary {
        total_transaction_count: Some(1),
        ..DeletedBlocksTransactionSummary::default()
    };
    let transaction = DeletedBlocksTransaction {
        tx_id: 5,
        container_id: 1,
        local_id: vec![7, 8],
        ..DeletedBlocksTransaction::default()
    };
    let container = ContainerInfoProto { container_id: 9, state: 1, ..Default::default() };
    let calls = [
        Call::AddContainer(Box::new(container.clone())),
        Call::RemoveContainer(ContainerId(9)),
        Call::UpdateContainerInfo(Box::new(container)),
        Call::UpdateContainerState {
            id: ContainerId(9),
            event: ContainerEvent::QuasiClose,
            sequence: -1,
        },
        Call::RestoreContainer { id: ContainerId(9), to: ContainerState::Closed },
        Call::AddPipeline(Box::new(pipeline())),
        Call::RemovePipeline(PIPELINE_ID.parse().unwrap()),
        Call::UpdatePipelineState {
            id: PIPELINE_ID.parse().unwrap(),
            state: PipelineState::Closed,
        },
        Call::AddTransactions { transactions: vec![transaction], summary: Some(summary) },
        Call::RemoveTransactions { ids: vec![5], summary: None },
        Call::RemoveTransactions { ids: vec![], summary: None },
        Call::AllocateBatch { name: "localId".to_owned(), expected: 0, last: 1000 },
        Call::SaveConfiguration { service: "s".to_owned(), value: Bytes::from_static(b"v") },
        Call::DeleteConfiguration { service: "s".to_owned() },
        Call::AddFinalizingMark,
        Call::RemoveFinalizingMark,
        Call::FinalizeLayoutFeature(10),
    ];
    for call in calls {
        assert_eq!(Call::decode(&call.encode()).unwrap(), call);
    }
}

#[test]
fn enums_travel_as_four_byte_numbers_and_empty_lists_as_objects() {
    let call = Call::UpdatePipelineState {
        id: PIPELINE_ID.parse().unwrap(),
        state: PipelineState::Closed,
    };
    let request = ScmRatisRequestProto::decode(call.encode()).unwrap();
    let args = request.method.unwrap().args;
    assert_eq!(args[1].value.as_deref(), Some(&[0, 0, 0, 4][..]));
    assert_eq!(args[1].r#type.as_deref(), Some(class::PIPELINE_STATE));

    let call = Call::RemoveTransactions { ids: vec![], summary: None };
    let request = ScmRatisRequestProto::decode(call.encode()).unwrap();
    let args = request.method.unwrap().args;
    let list = hdds_proto::scm_log::ListArgument::decode(args[0].value.clone().unwrap()).unwrap();
    assert_eq!(list.r#type.as_deref(), Some("java.lang.Object"));
}

#[test]
fn an_unknown_call_is_an_error_and_not_skipped() {
    let request = ScmRatisRequestProto {
        r#type: Some(RequestType::Container.into()),
        method: Some(Method { name: Some("meltContainer".to_owned()), args: Vec::new() }),
    };
    let error = Call::decode(&request.encode_to_vec()).unwrap_err();
    assert!(matches!(error, LogError::Unknown { .. }), "{error}");
    assert!(Call::decode(b"\xff\xff").is_err());
    let request = ScmRatisRequestProto {
        r#type: Some(RequestType::SequenceId.into()),
        method: Some(Method {
            name: Some("allocateBatch".to_owned()),
            args: vec![codec::string("localId"), codec::string("x"), codec::long(1)],
        }),
    };
    assert!(matches!(Call::decode(&request.encode_to_vec()), Err(LogError::Argument { .. })));
}
