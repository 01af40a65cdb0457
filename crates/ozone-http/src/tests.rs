//! The pages as a client sees them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use ozone_config::Configuration;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Bean, Daemon, HttpKeys, HttpSettings};

fn settings(conf: &Configuration) -> HttpSettings {
    let keys = HttpKeys {
        address: "ozone.om.http-address".to_owned(),
        bind_host: "ozone.om.http-bind-host".to_owned(),
        enabled: "ozone.om.http.enabled",
        port: 0,
    };
    HttpSettings::read(conf, &keys).unwrap()
}

fn router(set: &[(&str, &str)]) -> Router {
    let mut conf = Configuration::default();
    for (key, value) in set {
        conf.set(*key, *value);
    }
    let registry = crate::registry("OzoneManager", "h");
    registry.register(|records| {
        records.record("OMMetrics").counter("NumKeys", 3);
    });
    let settings = settings(&conf);
    let bean = Bean {
        name: "Hadoop:service=OzoneManager,name=OzoneManagerInfo,component=ServerRuntime"
            .to_owned(),
        modeler: "x",
        attributes: [("RpcPort".to_owned(), json!("9862"))].into_iter().collect(),
    };
    let beans = Arc::new(move || vec![bean.clone()]);
    let daemon = Daemon { title: "Ozone Manager", conf: Arc::new(conf), registry, beans };
    daemon.router(&settings, Router::new())
}

async fn ask(
    router: &Router,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
) -> Response<String> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(router: &Router, uri: &str) -> Response<String> {
    ask(router, "GET", uri, &[]).await
}

#[tokio::test]
async fn every_page_carries_the_headers_of_a_genuine_server() {
    let router = router(&[]);
    for uri in ["/", "/conf", "/jmx", "/prom", "/logLevel", "/stacks", "/nope"] {
        let answer = get(&router, uri).await;
        let expected = if uri == "/nope" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(answer.status(), expected, "{uri}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{uri}");
        assert_eq!(answer.headers()["x-frame-options"], "SAMEORIGIN", "{uri}");
        assert_eq!(answer.headers()["cache-control"], "no-cache", "{uri}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_options_are_told() {
    let router = router(&[]);
    let refused = ask(&router, "POST", "/prom", &[]).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(refused.headers().contains_key("allow"));
    // Hadoop's tools begin so.
    let options = ask(&router, "OPTIONS", "/logLevel?log=om&user.name=me", &[]).await;
    assert_eq!(options.status(), StatusCode::OK);
}

#[tokio::test]
async fn settings_are_told_without_secrets() {
    let router = router(&[
        ("ozone.om.address", "h:1<2"),
        ("ssl.server.keystore.password", "hush"),
        ("fs.loop", "${fs.loop}"),
    ]);
    let all = get(&router, "/conf").await.into_body();
    assert!(all.contains("<name>ozone.om.address</name><value>h:1&lt;2</value>"));
    assert!(
        all.contains("<name>ssl.server.keystore.password</name><value>&lt;redacted&gt;</value>")
    );
    assert!(!all.contains("hush"));
    let json_headers = [("accept", "application/json")];
    let one = ask(&router, "GET", "/conf?name=ozone.om.address", &json_headers).await;
    let one: Value = serde_json::from_str(one.body()).unwrap();
    assert_eq!(one["property"]["value"], "h:1<2");
    assert_eq!(get(&router, "/conf?name=no.such.key").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/conf?cmd=nope").await.status(), StatusCode::NOT_FOUND);
    let tags = get(&router, "/conf?cmd=getPropertyByTag&tags=OM,SCM").await;
    let tags: Value = serde_json::from_str(tags.body()).unwrap();
    assert_eq!(tags["OM"]["ozone.om.address"]["value"], "h:1<2");
    assert!(tags["SCM"].as_object().unwrap().len() > 20);
}

#[tokio::test]
async fn beans_are_found_by_pattern_and_by_attribute() {
    let router = router(&[]);
    let beans = |answer: Response<String>| -> Vec<Value> {
        let value: Value = serde_json::from_str(answer.body()).unwrap();
        value["beans"].as_array().unwrap().clone()
    };
    let found = beans(get(&router, "/jmx?qry=Hadoop:service=*,name=OM*").await);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["name"], &found[0]["NumKeys"]),
        (&json!("Hadoop:service=OzoneManager,name=OMMetrics"), &json!(3))
    );
    assert!(beans(get(&router, "/jmx?qry=No:x=y").await).is_empty());
    let one = "/jmx?get=Hadoop:service=OzoneManager,name=OzoneManagerInfo,component=ServerRuntime::RpcPort";
    assert_eq!(beans(get(&router, one).await)[0]["RpcPort"], "9862");
    for wrong in ["/jmx?qry=x", "/jmx?get=x", "/jmx?get=%ff%zz&&="] {
        assert!(get(&router, wrong).await.body().contains("ERROR"), "{wrong}");
    }
}

#[tokio::test]
async fn metrics_want_their_token_when_one_is_set() {
    let open = get(&router(&[]), "/prom").await;
    assert_eq!(open.headers()["content-type"], "text/plain;charset=utf-8");
    assert!(open.body().contains("om_metrics_num_keys{hostname=\"h\"} 3\n"));
    let closed = router(&[("hdds.prometheus.endpoint.token", "t0k")]);
    assert_eq!(get(&closed, "/prom").await.status(), StatusCode::FORBIDDEN);
    for (token, expected) in [("Bearer t0x", 403), ("Bearer t0k", 200), ("t0k", 403)] {
        let answer = ask(&closed, "GET", "/prom", &[("authorization", token)]).await;
        assert_eq!(answer.status(), expected, "{token}");
    }
    let off = router(&[("hdds.prometheus.endpoint.enabled", "false")]);
    assert_eq!(get(&off, "/prom").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn log_levels_are_told_in_marked_lines_and_markup_is_escaped() {
    let router = router(&[]);
    let page = get(&router, "/logLevel?log=%3Cscript%3E&level=%ff").await.into_body();
    assert!(page.contains("<!-- OUTPUT -->Submitted Class Name: <b>&lt;script&gt;</b><br />\n"));
    assert!(page.contains("<!-- OUTPUT -->Bad Level : <b>\u{fffd}</b><br />\n"));
    let page = get(&router, "/logLevel?log=org.apache.hadoop.ozone.om").await.into_body();
    assert!(page.contains("<!-- OUTPUT -->Log Targets: <b>om om_core</b><br />\n"), "{page}");
    assert!(page.contains("<!-- OUTPUT -->Effective Level: <b>"));
}
