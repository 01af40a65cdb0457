use std::collections::BTreeMap;

use super::*;

fn prepare_request() -> OmRequest {
    OmRequest { prepare_request: Some(Box::default()), ..kind(Type::Prepare) }
}

fn cancel_request() -> OmRequest {
    OmRequest { cancel_prepare_request: Some(Box::default()), ..kind(Type::CancelPrepare) }
}

fn finalize_request() -> OmRequest {
    OmRequest { finalize_upgrade_request: Some(Box::default()), ..kind(Type::FinalizeUpgrade) }
}

#[test]
fn a_preparation_leaves_its_index_beside_that_of_the_log_until_it_is_cancelled() {
    let mut om = Om::new();
    let row = |om: &Om| {
        let row = om.ns().get_bytes(tables::TRANSACTION_INFO_SLOT, tables::PREPARED_KEY).unwrap();
        row.map(|row| String::from_utf8(row.to_vec()).unwrap())
    };
    om.ok(create_volume("vol"));
    assert_eq!(om.ok(prepare_request()).prepare_response.unwrap().txn_id, 2);
    assert_eq!(row(&om).as_deref(), Some("0#2"));
    assert_eq!(om.ok(prepare_request()).prepare_response.unwrap().txn_id, 3);
    assert_eq!(row(&om).as_deref(), Some("0#3"));
    assert!(om.ok(cancel_request()).cancel_prepare_response.is_some());
    assert_eq!(row(&om), None);
    om.ok(cancel_request());
}

#[test]
fn only_administrators_change_versions() {
    let mut om = Om::new();
    om.rules.acls_enforced = true;
    om.rules.admins.users = vec![USER.into()];
    for (request, purpose) in [
        (prepare_request(), "prepare upgrade/downgrade"),
        (cancel_request(), "cancel ozone manager preparation"),
        (finalize_request(), "finalize upgrade"),
    ] {
        let caller = Caller { user: "bob", ..om.caller() };
        let reply = om.write_as(&caller, request.clone());
        assert_eq!(reply.status(), Status::AccessDenied);
        assert_eq!(
            reply.message.unwrap(),
            format!(
                "Access denied for user bob (auth:SIMPLE). Superuser privilege is required to \
                 {purpose}."
            )
        );
        om.ok(request);
    }
}

#[test]
fn a_finalized_upgrade_leaves_its_layout_version_in_the_database() {
    let mut om = Om::new();
    om.ok(finalize_request());
    let row = om.ns().get_bytes(tables::META_SLOT, tables::LAYOUT_VERSION_KEY).unwrap();
    assert_eq!(row.as_deref(), Some(&b"9"[..]));
}

/// What `docs/requests.md` says of each type.
fn documented() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in include_str!("../../../../../docs/requests.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, types, here, ..] = cells[..] else { continue };
        for name in types.split(' ').filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')) {
            assert_eq!(rows.insert(name.to_owned(), here.to_owned()), None, "{name} twice");
        }
    }
    rows
}

#[test]
fn the_table_of_requests_is_that_of_the_code() {
    /// Answered by the shell, from the server's own state.
    const SHELL: [Type; 7] = [
        Type::ServiceList,
        Type::PrepareStatus,
        Type::FinalizeUpgradeProgress,
        Type::SetSafeMode,
        Type::DbUpdates,
        Type::StartQuotaRepair,
        Type::GetQuotaRepairStatus,
    ];
    let mut documented = documented();
    let mut om = Om::new();
    for kind_of in (0..=1000).filter_map(|number| Type::try_from(number).ok()) {
        let name = kind_of.as_str_name();
        let here = documented.remove(name).unwrap_or_else(|| panic!("{name} is missing"));
        if SHELL.contains(&kind_of) {
            assert_eq!(here, "served", "{name}");
            continue;
        }
        let request = kind(kind_of);
        let reply = if is_read(&request) { om.read(request) } else { om.write(request) };
        let message = reply.message.unwrap_or_default();
        let unknown = message.starts_with("Unrecognized write command");
        let refused = unknown || message.ends_with("is not supported by this Ozone Manager");
        assert_eq!(here == "refused", refused, "{name}: {message}");
    }
    assert!(documented.is_empty(), "no such types: {documented:?}");
}
