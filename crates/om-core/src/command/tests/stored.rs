//! Answers that are copied from rows say what the decoded ones say.

use BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};

use super::*;
use crate::cache::Change;

/// `sortDatanodes` has the row decoded: the answer as it is otherwise.
fn both_ways(om: &Om, request: &OmRequest, args: impl Fn(&mut OmRequest) -> &mut KeyArgs) {
    let mut decoded = request.clone();
    args(&mut decoded).sort_datanodes = Some(true);
    let ask = |request: &OmRequest| crate::command::read(request, &om.ns(), &om.caller()).unwrap();
    assert!(matches!(ask(request), Answer::Stored(_)), "{request:?} is answered from its row");
    assert!(matches!(ask(&decoded), Answer::Message { .. }));
    assert_eq!(om.read(request.clone()), om.read(decoded));
}

#[test]
fn a_file_is_told_from_its_row_as_from_the_decoded_key() {
    for layout in [ObjectStore, Legacy, FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        for (name, size) in [("top/folder/file", 300 << 20), ("empty", 0), ("top/ü", 7)] {
            om.put(name, size);
            for head_op in [None, Some(true)] {
                let key_args =
                    KeyArgs { head_op, latest_version_location: Some(true), ..args(name) };
                let info = GetKeyInfoRequest { key_args: key_args.clone(), ..Default::default() };
                let request = OmRequest {
                    get_key_info_request: Some(Box::new(info)),
                    ..kind(Type::GetKeyInfo)
                };
                both_ways(&om, &request, |r| {
                    &mut r.get_key_info_request.as_mut().unwrap().key_args
                });
                let lookup = LookupKeyRequest { key_args: key_args.clone() };
                let request = OmRequest {
                    lookup_key_request: Some(Box::new(lookup)),
                    ..kind(Type::LookupKey)
                };
                both_ways(&om, &request, |r| &mut r.lookup_key_request.as_mut().unwrap().key_args);
                let lookup = LookupFileRequest { key_args };
                let request = OmRequest {
                    lookup_file_request: Some(Box::new(lookup)),
                    ..kind(Type::LookupFile)
                };
                both_ways(&om, &request, |r| &mut r.lookup_file_request.as_mut().unwrap().key_args);
            }
        }
    }
}

#[test]
fn a_malformed_row_is_an_error_and_not_an_answer() {
    let mut om = Om::with_bucket(ObjectStore);
    om.put("key", 7);
    let mut row = om.row(&tables::KEY, "/vol/buck/key").unwrap().encode_to_vec();
    row.pop();
    let change = Change::new(tables::KEY.slot, "/vol/buck/key", Some(row.into()));
    om.cache.apply(Applied { term: 1, index: 99 }, vec![change]);
    assert_ne!(om.info("key").status(), Status::Ok);
}
