"""Writes deploy/prometheus/rules.yaml, and the same groups as a PrometheusRule for Kubernetes.

Run: python3 deploy/prometheus/generate.py [folder]     default: beside this file

The burn-rate rules are one pattern over seven windows, so they are made here rather than typed.
Every threshold is a bucket bound of metrics/instruments.cc and none is a whole number: Prometheus 3
writes le="1" as le="1.0" and a rule that matches the text would go silent.
"""

import pathlib
import sys

import yaml

# The objective: of the speech requests that the server had to answer, this share has its first byte
# in time. What a client gets wrong, and what it cancels, counts neither way.
OBJECTIVE, BOUND = 0.99, "0.05"
SPEECH = 'method=~"Synthesize.*"'
FAULTS = 'code=~"UNKNOWN|INTERNAL|UNAVAILABLE|RESOURCE_EXHAUSTED|DATA_LOSS"'
WINDOWS = ("5m", "30m", "1h", "6h", "3d")

# (severity, burn rate, long window, short window): SRE Workbook, chapter 5.
BURNS = (("page", 14.4, "1h", "5m"), ("page", 6, "6h", "30m"), ("ticket", 1, "3d", "6h"))


def slo_ratio(window):
    """Share of speech requests without a timely first byte; 0 without requests."""
    ttfb = "firstbyte_request_ttfb_seconds"
    count = f"sum by (job) (rate({ttfb}_count{{{SPEECH}}}[{window}]))"
    timely = f'sum by (job) (rate({ttfb}_bucket{{{SPEECH},le="{BOUND}"}}[{window}]))'
    faults = f"sum by (job) (rate(firstbyte_requests_total{{{SPEECH},{FAULTS}}}[{window}]))"
    valid = f"({count} + {faults})"
    return f"({count} - {timely} + {faults}) / ({valid} > 0) or {valid} * 0"


def quantile(q, histogram, window, by):
    return f"histogram_quantile({q}, sum by ({by}, le) (rate({histogram}_bucket[{window}])))"


def recording():
    rules = [{"record": f"firstbyte:slo_errors:ratio_rate{w}", "expr": slo_ratio(w)} for w in WINDOWS]
    by = "job, method, model"
    for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        rules.append({"record": f"firstbyte:request_ttfb_seconds:{name}_5m",
                      "expr": quantile(q, "firstbyte_request_ttfb_seconds", "5m", by)})
    rules.append({"record": "firstbyte:request_realtime_factor:p95_5m",
                  "expr": quantile(0.95, "firstbyte_request_realtime_factor_ratio", "5m", by)})
    rules.append({"record": "firstbyte:request_queue_seconds:p95_5m",
                  "expr": quantile(0.95, "firstbyte_request_queue_seconds", "5m", by)})
    rules.append({"record": "firstbyte:slots_used:ratio",
                  "expr": "sum by (job, model) (firstbyte_slots_used) / "
                          "(sum by (job, model) (firstbyte_slots) > 0)"})
    return rules


def alert(name, expr, wait, severity, summary, description):
    return {"alert": name, "expr": expr, "for": wait, "labels": {"severity": severity},
            "annotations": {"summary": summary, "description": description}}


def burn_alerts():
    rules = []
    for severity, burn, long, short in BURNS:
        limit = f"{burn * (1 - OBJECTIVE):.4g}"
        ratios = [f"firstbyte:slo_errors:ratio_rate{w} > {limit}" for w in (long, short)]
        rules.append(alert(
            f"FirstByteBudgetBurn{long}", " and ".join(ratios), "0m", severity,
            "First bytes are late or missing",
            f"Over {long} and {short}, requests without a first byte in {BOUND} s use up the error "
            f"budget {burn} times as fast as {OBJECTIVE:.0%} allows. Look at TTFB by phase."))
    return rules


def engine_alerts():
    busy = "sum by (job, instance, model) (firstbyte_streams_in_flight) > 0"
    since = "time() - firstbyte_last_step_timestamp_seconds"
    return [
        # Both idle timeouts end, after 60 s, a stream whose client says nothing: a server that has
        # had streams for 60 s + 2 min without one step is not waiting for a client.
        alert("EngineStalled", f"({since} > 60) and on (job, instance, model) ({busy})", "2m", "page",
              "Streams are open and no step is made",
              "{{ $labels.instance }} has streams of {{ $labels.model }} and made no step for "
              "{{ $value | humanizeDuration }}. Restart it; the log says what the lane did last."),
        alert("RealtimeFactorHigh", "firstbyte:request_realtime_factor:p95_5m > 0.9", "10m", "ticket",
              "Generation is hardly faster than playback",
              "p95 of the real-time factor of {{ $labels.model }} is {{ $value }}: above 1, "
              "listeners hear gaps. Add servers or lower max_streams."),
        alert("ListenersUnderrun",
              "sum by (job, model) (rate(firstbyte_stream_underruns_total[5m])) * 60 > "
              "0.1 * sum by (job, model) (rate(firstbyte_audio_seconds_total[5m]))", "5m", "ticket",
              "Listeners run dry",
              "More than one gap in ten minutes of audio of {{ $labels.model }}."),
        # Requests do not queue for a seat, they are refused; what grows under load is the wait
        # for the first step.
        alert("QueueGrowing",
              "firstbyte:request_queue_seconds:p95_5m > 0.02 and "
              "firstbyte:request_queue_seconds:p95_5m > "
              "2 * avg_over_time(firstbyte:request_queue_seconds:p95_5m[1h])", "5m", "ticket",
              "Requests wait longer and longer for their first step",
              "p95 of the wait of {{ $labels.model }} is {{ $value | humanizeDuration }}, twice "
              "its mean over the last hour."),
        alert("NoCapacity",
              'sum by (job) (rate(firstbyte_requests_rejected_total{'
              'reason=~"NO_MEMORY|NO_SLOT|OVERLOAD|TTFB_TARGET"}[5m])) > '
              "0.05 * sum by (job) (rate(firstbyte_requests_total[5m]))", "5m", "ticket",
              "Requests are refused for want of capacity",
              "More than one in twenty for five minutes. Add servers."),
        alert("WorldBlocksLate",
              "sum by (job, model) (rate(firstbyte_late_blocks_total[5m]) + "
              "rate(firstbyte_skipped_blocks_total[5m])) > "
              "0.05 * sum by (job, model) (rate(firstbyte_blocks_total[5m]))", "5m", "ticket",
              "Worlds stutter",
              "More than one block in twenty of {{ $labels.model }} is late or skipped."),
    ]


def lifecycle_alerts():
    return [
        alert("ServerDown", 'up{job=~".*firstbyte.*"} == 0', "2m", "page", "A server is not scraped",
              "{{ $labels.instance }} does not answer on its metrics port."),
        alert("NotReady", "firstbyte_ready == 0 and firstbyte_draining == 0", "2m", "page",
              "A server runs and is not ready",
              "{{ $labels.instance }} neither serves nor drains: its models do not come up."),
        alert("DrainingTooLong", "firstbyte_draining == 1", "5m", "ticket", "A drain does not end",
              "{{ $labels.instance }} drains for longer than lame_duck and drain_timeout together. "
              "A second SIGTERM ends it at once."),
    ]


def groups():
    return {"groups": [
        {"name": "firstbyte-recording", "interval": "30s", "rules": recording()},
        {"name": "firstbyte-slo", "rules": burn_alerts()},
        {"name": "firstbyte-engine", "rules": engine_alerts()},
        {"name": "firstbyte-lifecycle", "rules": lifecycle_alerts()},
    ]}


def write(folder):
    header = "# Written by deploy/prometheus/generate.py; a test keeps the two equal.\n"
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": {"name": "firstbyte"}, "spec": groups()}
    for name, content in (("rules.yaml", groups()), ("prometheusrule.yaml", rule)):
        text = yaml.safe_dump(content, sort_keys=False, width=100)
        (folder / name).write_text(header + text)


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
