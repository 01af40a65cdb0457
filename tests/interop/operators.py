"""What operators ask of Ozone Managers, by the client under test and by ours: `ozone admin om`, `ozone repair om quota`."""
import clients

# Both clients print the same.
SAME = [
    "admin om roles -id first",
    "admin om roles --service-id first --json",
    "admin om roles --om-service-id first --table",
    "admin om finalizationstatus -id first",
    "admin om finalizeupgrade --service-id first",
    "admin om lof -id first",
    "admin om list-open-keys --service-id first --prefix /one/fso --length 5 --show-deleted",
]
# (by our client, command, exit code, a text on stdout or stderr)
UPGRADE = [
    (False, "admin om cancelprepare -id nobody", 255, "ozone.om.service.ids"),
    (False, "admin om cancelprepare -id first", 0, "Cancel prepare succeeded, cluster can now accept write requests."),
    # The Java command looks for each Ozone Manager at port 9862, wherever it is: it is not to look at all.
    (False, "admin om prepare -id first -tact 1 -pt 0", 255, "successfully returned with Transaction Id : ["),
    (False, "sh volume create o3://first/late", 255,
     "NOT_SUPPORTED_OPERATION_WHEN_PREPARED Cannot apply write request CreateVolume when OM is in prepare mode."),
    (False, "sh volume info o3://first/one", 0, '"name" : "one"'),
    (False, "sh volume create o3://second/late", 0, ""),
    (True, "admin om prepare -id first", 0, "All OMs are prepared"),
    (True, "admin om cancelprepare -id first", 0, "Cancel prepare succeeded, cluster can now accept write requests."),
    (False, "sh volume create o3://first/late", 0, ""),
]


def run(setting, cluster, client):
    """On a cluster with the services `first` and `second`, and a volume `one` in the first."""
    own = clients.OwnClient(setting.ozone, cluster.conf, client.work)
    for line in SAME:
        theirs, ours = client(line.split()), own(line.split())
        setting.report.check(f"{line}: succeeds", (theirs.code, ours.code) == (0, 0), theirs.err + ours.err)
        setting.report.check(f"{line}: both clients print the same", theirs.out.strip() == ours.out.strip(),
                             f"{client.name}:\n{theirs.out}ours:\n{ours.out}")
    for by_ours, line, code, text in UPGRADE:
        answer = (own if by_ours else client)(line.split())
        setting.report.check(f"{line}: exit code {code}, {text}", answer.code == code and text in answer.out + answer.err,
                             f"exit code {answer.code}\n{answer.out}{answer.err[-1500:]}")
    start = own("repair om quota start --service-id first --buckets /one/fso".split())
    setting.report.check("repair om quota start tells what it does", start.code == 0 and
                         start.out.startswith("Triggering quota repair for buckets /one/fso\n{"), start.out + start.err)
