"""What an operator and Prometheus ask of each daemon's HTTP port, and the genuine tool that changes log levels."""
import json
import os
import re
import secrets
import subprocess
import urllib.error
import urllib.request
import xml.etree.ElementTree

import clients
from cluster import Local, read_site

SECONDS_MAX = 20
# A line of Prometheus' text format 0.0.4.
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$')
# Metrics that grow when a key is written and read, by daemon.
MOVING = {
    "om": ("om_metrics_num_key_commits", "om_metrics_num_key_allocate", "om_client_protocol_counter{type=\"CommitKey\"",
           "rpc_rpc_processing_time_num_ops", "ratis_log_worker_syncTime_count", "ratis_state_machine_appliedIndex",
           "om_performance_metrics_submit_to_ratis_latency_ns_num_ops"),
    "scm": ("scm_datanode_protocol_counter{type=\"SendHeartbeat\"", "rpc_rpc_processing_time_num_ops"),
    "datanode": ("storage_container_metrics_num_write_chunk", "storage_container_metrics_bytes_write_chunk",
                 "storage_container_metrics_num_put_block", "volume_io_stats_write_bytes", "ratis_server_commitIndex",
                 "volume_io_stats_write_queue_time_num_ops", "heartbeat_metrics_heartbeat_num_ops"),
}
# Metrics that have to be there, whatever their value.
PRESENT = {
    "om": ("ozone_manager_double_buffer_metrics_flush_time_num_ops", "rocksdb_om_db_estimate_num_keys",
           "omha_metrics_ozone_manager_ha_leader_state", "deleting_service_metrics_num_keys_purged"),
    "scm": ("scm_node_manager_in_service_healthy_nodes", "scm_container_metrics_open_containers",
            "safe_mode_metrics_scm_in_safe_mode", "rocksdb_scm_db_live_sst_files_size"),
    "datanode": ("ratis_server_peerCommitIndex", "ratis_log_worker_workerQueueSize",
                 "block_deleting_service_metrics_success_count"),
}
EVERYWHERE = ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "jvm_metrics_mem_heap_used_m")
BEANS = {
    "om": ("OzoneManagerInfo", "RpcPort"),
    "scm": ("StorageContainerManagerInfo", "ClientRpcPort"),
    "datanode": ("HddsDatanodeServiceInfo", "HttpPort"),
}


def urls(cluster):
    """The HTTP address of the OM, SCM and the first datanode."""
    site = read_site(cluster.conf)
    if isinstance(cluster, Local):
        ports = dict(line.split("=", 1) for line in (cluster.root / "data" / "ports").read_text().splitlines() if "=" in line)
        datanode = f"127.0.0.1:{ports['dn1.http']}"
    else:
        datanode = read_site(cluster.root / "conf" / "dn1")["hdds.datanode.http-address"]
    return {"om": site["ozone.om.http-address"], "scm": site["ozone.scm.http-address"], "datanode": datanode}


def get(address, path, method="GET", **headers):
    request = urllib.request.Request(f"http://{address}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def metrics(address):
    """The samples of /prom by name and labels, and the lines that are none."""
    samples, wrong = {}, []
    for line in get(address, "/prom")[2].splitlines():
        if line.startswith("# TYPE ") or not line:
            continue
        match = SAMPLE.match(line)
        if not match:
            wrong.append(line)
            continue
        key = match[1] + (match[2] or "")
        if key in samples:
            wrong.append(f"twice: {line}")
        samples[key] = float(match[3])
    return samples, wrong


def total(samples, name):
    found = [value for key, value in samples.items() if key == name or key.startswith((name + "{", name + ",")) or
             ("{" in name and key.startswith(name))]
    return sum(found) if found else None


def pages(check, name, address):
    for path in ("/", "/conf", "/jmx", "/prom", "/logLevel", "/stacks"):
        status, headers, body = get(address, path)
        check(f"{name} {path} answers", status == 200 and body, f"{status} {body[:300]}")
        check(f"{name} {path} carries the common headers", headers["X-Content-Type-Options"] == "nosniff"
              and headers["X-Frame-Options"] == "SAMEORIGIN" and headers["Cache-Control"] == "no-cache", str(headers))
    check(f"{name} answers an unknown page with 404", get(address, "/nope")[0] == 404)
    check(f"{name} answers POST with 405", get(address, "/prom", method="POST")[0] == 405)
    check(f"{name} answers a bad query", get(address, "/jmx?qry=%ff&get=")[0] == 200)
    check(f"{name} /stacks names threads", "active threads" in get(address, "/stacks")[2])
    tree = xml.etree.ElementTree.fromstring(get(address, "/conf")[2])
    check(f"{name} /conf is XML with properties", len(tree.findall("property")) > 100)
    everything = json.loads(get(address, "/conf", Accept="application/json")[2])["properties"]
    check(f"{name} /conf is JSON too", len(everything) == len(tree.findall("property")))
    bean, attribute = BEANS[name]
    found = json.loads(get(address, f"/jmx?qry=Hadoop:service=*,name={bean},component=ServerRuntime")[2])["beans"]
    check(f"{name} /jmx has {bean}", len(found) == 1 and found[0].get(attribute), str(found)[:500])


def values(check, name, before, after):
    for metric in MOVING[name]:
        was, now = total(before, metric), total(after, metric)
        check(f"{name} {metric} grows with load", was is not None and now is not None and now > was, f"{was} -> {now}")
    for metric in PRESENT[name] + EVERYWHERE:
        check(f"{name} has {metric}", total(after, metric) is not None)


def levels(check, setting, cluster, addresses):
    """The genuine `daemonlog` (org.apache.hadoop.log.LogLevel) and ours read and change levels."""
    logger = "org.apache.hadoop.ozone.om"
    address = addresses["om"]

    def genuine(*words):
        return clients.java(cluster.conf, "org.apache.hadoop.log.LogLevel", *words, "-protocol", "http")

    answer = genuine("-setlevel", address, logger, "DEBUG")
    check("the genuine daemonlog sets a level", "Effective Level: DEBUG" in answer.out, answer.out + answer.err[-1500:])
    answer = genuine("-getlevel", address, logger)
    check("the genuine daemonlog reads it back", "Effective Level: DEBUG" in answer.out, answer.out + answer.err[-1500:])
    if setting.ozone:
        own = subprocess.run([setting.ozone, "daemonlog", "-setlevel", address, logger, "INFO"], capture_output=True,
                             text=True, timeout=SECONDS_MAX, check=False)
        check("our daemonlog sets it", "Effective Level: INFO" in own.stdout, own.stdout + own.stderr)


def trace(check, setting, cluster, addresses):
    """One id, given by the client, is in the log of the OM and of three datanodes."""
    if not setting.ozone:
        return
    for daemon in addresses.values():
        for logger in ("om", "datanode", "scm"):
            get(daemon, f"/logLevel?log={logger}&level=DEBUG")
    work = setting.root / "work"
    (work / "traced").write_bytes(os.urandom(10_000))
    trace_id = secrets.token_hex(16)
    environment = os.environ | {"OZONE_TRACE_ID": f"traceparent=00-{trace_id}-{secrets.token_hex(8)}-01;"}
    put = subprocess.run([setting.ozone, "--config", str(cluster.conf), "sh", "key", "put", "/endpoints/endpoints/traced",
                          "traced", "-t", "RATIS", "-r", "THREE"], cwd=work, env=environment, capture_output=True, text=True,
                         timeout=clients.COMMAND_SECONDS_MAX, check=False)
    check("a traced key is put", put.returncode == 0, put.stderr)
    lines = [line for log in cluster.root.glob("*.log") for line in log.read_text(errors="replace").splitlines()
             if trace_id in line]
    text = "\n".join(lines)
    for word in ("CreateKey", "CommitKey", "applying", "writing chunk", "block committed"):
        check(f"the trace id is in the line of {word}", any(word in line for line in lines), text[-3000:])
    chunks = sum("writing chunk" in line for line in lines)
    check("the trace id is in the log of all three datanodes", chunks >= 3, text[-3000:])
    for daemon in addresses.values():
        for logger in ("om", "datanode", "scm"):
            get(daemon, f"/logLevel?log={logger}&level=INFO")


def run(setting, cluster, client):
    """The case."""
    check = setting.report.check
    addresses = urls(cluster)
    before = {}
    for name, address in addresses.items():
        pages(check, name, address)
        before[name], wrong = metrics(address)
        check(f"{name} /prom is Prometheus' text format", not wrong, "\n".join(wrong[:5]))
    services = json.loads(get(addresses["om"], "/serviceList")[2])
    check("/serviceList tells the OM's real HTTP port",
          services[0]["ports"]["HTTP"] == int(addresses["om"].rsplit(":", 1)[1]), str(services))
    (client.work / "load").write_bytes(os.urandom(100_000))
    for number in range(5):
        setting.must(client, f"sh key put /endpoints/endpoints/load{number} load -t RATIS -r THREE")
        setting.must(client, f"sh key get /endpoints/endpoints/load{number} got{number}")
    for name, address in addresses.items():
        after, wrong = metrics(address)
        check(f"{name} /prom is Prometheus' text format under load", not wrong, "\n".join(wrong[:5]))
        values(check, name, before[name], after)
    levels(check, setting, cluster, addresses)
    trace(check, setting, cluster, addresses)
