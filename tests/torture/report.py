"""The report as tables for people."""


def table(rows, heads):
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    line = lambda row: "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()  # noqa: E731
    return "\n".join([line(heads), line(["-" * width for width in widths]), *map(line, cells)])


def fault_rows(faults):
    kinds = {}
    for fault in faults:
        kinds.setdefault(fault["kind"], []).append(fault)
    for kind, rows in sorted(kinds.items()):
        times = sorted(row["recovered"] for row in rows if row["recovered"] is not None)
        per = {}
        for row in rows:
            per[row["target"]] = per.get(row["target"], 0) + 1
        yield [kind, len(rows), " ".join(f"{name}×{count}" for name, count in sorted(per.items())),
               f"{times[len(times) // 2]:.1f}" if times else "-", f"{times[-1]:.1f}" if times else "-", f"{max(row['stall'] for row in rows):.1f}"]


def show(whole):
    print(f"\nseed {whole['seed']}, {len(whole['faults'])} faults, daemons that ended themselves on a broken disk and were "
          f"started again: {whole['restarts']}")
    if whole["missing"]:
        print(f"LEFT OUT, not permitted on this machine: {', '.join(whole['missing'])}")
    print("\n" + table(fault_rows(whole["faults"]), ["fault", "times", "of", "works after (median s)", "(longest s)", "no write for (longest s)"]))
    load = whole["load"] or {}
    if "load" in load:
        rows = [[op, row["acknowledged"], row["failed"], row["p50_ms"], row["p99_ms"], row["max_ms"]]
                for op, row in load["load"]["ops"].items()]
        print("\n" + table(rows, ["operation", "acknowledged", "failed", "p50 ms", "p99 ms", "longest ms"]))
        rows = [[error["count"], error["kind"], error["first_at"]] for error in load["load"]["errors"]]
        print("\n" + (table(rows, ["errors", "kind", "first at s"]) if rows else "no errors reached the clients"))
        print(f"\nlongest time without an acknowledged write: {load['load']['longest_stall']} s "
              f"(at {load['load']['longest_stall_at']} s); written {load['load']['written_bytes'] >> 20} MiB, "
              f"read and judged {load['load']['read_bytes'] >> 20} MiB")
        verified = load["verified"]
        print(f"at the end {verified['keys_verified']} keys and {verified['absent_verified']} deleted or renamed names verified in "
              f"{verified['verify_seconds']} s; {verified['unclear_operations']} names whose last operation had no clear answer")
        if load.get("replicas"):
            print(f"replicas read one by one: {load['replicas']['replicas_verified']} right, " +
                  (", ".join(f"{row['count']} × {row['kind']}" for row in load["replicas"]["replicas_failed"]) or "0 failed"))
    for problem in whole["problems"]:
        print(f"\nPROBLEM: {problem}")
    for violation in whole["violations"]:
        print(f"\nVIOLATION: {violation}")
    print("\n" + ("nothing was lost" if not whole["problems"] and not whole["violations"] else "FAILED"))
