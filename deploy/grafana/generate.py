"""Writes deploy/grafana/dashboards/firstbyte.json: one dashboard, a row for each question.

Run: python3 deploy/grafana/generate.py [folder]     default: dashboards/ beside this file

A panel is a title, a unit and its PromQL; the rest is layout. {f} stands for the label filter of
the dashboard's variables.
"""

import json
import pathlib
import sys

FILTER = 'job=~"$job",instance=~"$instance"'
MODEL = FILTER + ',model=~"$model"'
RATE = "[$__rate_interval]"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TTFB_TARGET = 0.05  # the objective of deploy/prometheus/generate.py
BUDGET = 0.01
PHASES = ("model_load", "queue", "prefill", "generation", "decode", "encode")


def rate(series, by, filters=MODEL):
    return f"sum by ({by}) (rate({series}{{{filters}}}{RATE}))"


def quantile(q, histogram, by="le", filters=MODEL):
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', by, filters)})"


def quantiles(histogram, filters=MODEL):
    return {f"p{q:g}": quantile(q / 100, histogram, "le", filters) for q in (50, 95, 99)}


def mean(histogram, by):
    return f"{rate(histogram + '_sum', by)} / {rate(histogram + '_count', by)}"


def panel(title, unit, queries, *, kind="timeseries", about="", stack=False, line=None, **options):
    """`queries`: legend -> PromQL. `line`: a threshold drawn across the plot."""
    targets = [{"refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend, "datasource": SOURCE,
                **({"format": "heatmap"} if kind == "heatmap" else {}),
                **({"instant": True, "format": "table"} if kind == "table" else {})}
               for i, (legend, expr) in enumerate(queries.items())]
    custom = {"fillOpacity": 20 if stack else 0, "stacking": {"mode": "normal" if stack else "none"},
              "thresholdsStyle": {"mode": "line" if line is not None else "off"}}
    steps = [{"color": "green", "value": None}]
    if line is not None:
        steps.append({"color": "red", "value": line})
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries":
        defaults["custom"] = custom
    return {"type": kind, "title": title, "description": about, "datasource": SOURCE,
            "targets": targets, "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options}


def heat_map(title, histogram, about):
    return panel(title, "s", {"{{le}}": f"sum by (le) (increase({histogram}_bucket{{{MODEL}}}{RATE}))"},
                 kind="heatmap", about=about, calculate=False, yAxis={"unit": "s"})


def experience():
    ttfb, speech = "firstbyte_request_ttfb_seconds", MODEL + ',method=~"Synthesize.*"'
    audio = rate("firstbyte_audio_seconds_total", "model")
    return [
        panel("Speech: time to first byte", "s", quantiles(ttfb, speech), line=TTFB_TARGET,
              about="The line is the target."),
        heat_map("Time to first byte", ttfb, "Two bands are two kinds of requests."),
        panel("Real-time factor, p95", "none",
              {"{{method}} {{model}}": quantile(0.95, "firstbyte_request_realtime_factor_ratio",
                                                "method, model, le")},
              line=1, about="Above 1, listeners hear gaps."),
        panel("Gaps per hour of audio", "none",
              {"{{model}}": f"3600 * {rate('firstbyte_stream_underruns_total', 'model')} / ({audio} > 0)"}),
        panel("Listeners left without text, clients that do not read", "ops",
              {"no text {{model}}": rate("firstbyte_stream_starved_total", "model"),
               "not read {{model}}": rate("firstbyte_slow_consumers_total", "model")},
              about="Silence and waits that are the clients' own."),
        panel("Lead of the listener before a chunk, p5", "s",
              {"{{model}}": quantile(0.05, "firstbyte_chunk_lead_seconds", "model, le")}),
        panel("Worlds: action to frame", "s", quantiles("firstbyte_action_to_frame_seconds")),
    ]


def traffic():
    requests = "firstbyte_requests_total"
    return [
        panel("Requests by method", "reqps", {"{{method}}": rate(requests, "method")}),
        panel("Requests by status", "reqps", {"{{code}}": rate(requests, "code") + " > 0"}, stack=True),
        panel("Refused, by reason", "reqps",
              {"{{reason}}": rate("firstbyte_requests_rejected_total", "reason", FILTER)}),
        panel("Cancelled, by what was reached", "reqps",
              {"{{stage}}": rate("firstbyte_requests_cancelled_total", "stage", FILTER)}),
        panel("Streams", "none",
              {"{{method}} {{model}}": f"sum by (method, model) (firstbyte_streams_in_flight{{{MODEL}}})"},
              stack=True),
        panel("Media made, seconds or frames per second", "none",
              {"audio {{model}}": rate("firstbyte_audio_seconds_total", "model"),
               "frames {{model}}": rate("firstbyte_frames_total", "model")}),
        panel("Text, characters per second", "none",
              {"{{model}}": rate("firstbyte_text_characters_total", "model")}),
    ]


def engine():
    used = " / ".join(f"sum by (model) ({m}{{{MODEL}}})" for m in ("firstbyte_slots_used", "firstbyte_slots"))
    return [
        panel("Slots in use", "percentunit", {"{{model}}": used}, line=1),
        panel("Wait for the first step, p95", "s",
              {"{{method}} {{model}}": quantile(0.95, "firstbyte_request_queue_seconds", "method, model, le")}),
        panel("Where a request's time goes, mean", "s",
              {phase: mean(f"firstbyte_request_{phase}_seconds", "job") for phase in PHASES}, stack=True),
        panel("Step, p95", "s",
              {"{{model}} {{stage}}": quantile(0.95, "firstbyte_step_seconds", "model, stage, le")}),
        panel("Sessions in a step, mean", "none",
              {"{{model}} {{stage}}": mean("firstbyte_batch_size", "model, stage")}),
        panel("Time in steps", "percentunit", {"{{model}} {{stage}}": rate("firstbyte_step_seconds_sum",
                                                                        "model, stage")},
              stack=True, about="1 is a lane that is always busy."),
        panel("Load of a lane", "percentunit",
              {"{{instance}} {{lane}}": f"firstbyte_lane_load_ratio{{{FILTER}}}"}, line=0.75,
              about="What admitted sessions need to keep their pace; the line is where new ones are refused."),
        panel("Models that are loaded", "none",
              {"{{instance}} {{model}}": f"firstbyte_model_resident{{{MODEL}}}"},
              about="0: lazy, and no request has needed it yet."),
        panel("Since the last step", "s",
              {"{{instance}} {{model}}": f"time() - (firstbyte_last_step_timestamp_seconds{{{MODEL}}} > 0)"}),
    ]


def worlds():
    blocks = rate("firstbyte_blocks_total", "model")
    share = {name: f"{rate(f'firstbyte_{name}_blocks_total', 'model')} / ({blocks} > 0)"
             for name in ("late", "skipped")}
    return [
        heat_map("Action to frame", "firstbyte_action_to_frame_seconds",
                 "From the arrival of an action to the first block it shapes."),
        panel("Blocks", "ops", {"{{model}}": blocks}),
        panel("Late and skipped blocks, share of blocks", "percentunit",
              {f"{name} {{{{model}}}}": expr for name, expr in share.items()}),
        panel("Sessions", "none",
              {"{{state}}": f"sum by (state) (firstbyte_world_sessions{{{FILTER}}})"}, stack=True),
        panel("Bytes kept", "bytes",
              {"{{kind}}": f"sum by (kind) (firstbyte_world_store_bytes{{{FILTER}}})"}, stack=True),
    ]


def gpu():
    def gauge(name):
        return {"{{instance}} {{gpu}}": f"firstbyte_gpu_{name}{{{FILTER}}}"}
    used, total = (f"firstbyte_gpu_memory{part}_bytes{{{FILTER}}}" for part in ("_used", ""))
    return [
        panel("GPU utilization", "percentunit", gauge("utilization_ratio"),
              about="Share of time in which some kernel ran; says nothing of how much of the GPU it filled."),
        panel("GPU memory in use", "percentunit", {"{{instance}} {{gpu}}": f"{used} / {total}"}, line=0.95),
        panel("GPU memory in use, bytes", "bytes", gauge("memory_used_bytes")),
        panel("GPU power", "watt", gauge("power_watts")),
        panel("GPU temperature", "celsius", gauge("temperature_celsius")),
        panel("GPU clock", "hertz", gauge("sm_clock_hertz"),
              about="Falling under load: the GPU is too hot or draws too much."),
    ]


def process():
    def gauges(*names):
        return {"{{instance}} " + n: f"{n}{{{FILTER}}}" for n in names}
    return [
        panel("State", "none", gauges("up", "firstbyte_ready", "firstbyte_draining")),
        panel("CPU", "none", {"{{instance}}": f"rate(process_cpu_seconds_total{{{FILTER}}}{RATE})"},
              about="Cores in use."),
        panel("Memory", "bytes", gauges("process_resident_memory_bytes", "firstbyte_heap_bytes",
                                       "firstbyte_outbox_bytes")),
        panel("Threads and open files", "none", gauges("process_threads", "process_open_fds")),
        panel("Time of a scrape", "s", gauges("scrape_duration_seconds")),
        panel("What runs", "none", {"": f"firstbyte_build_info{{{FILTER}}}"}, kind="table"),
    ]


def budget():
    burn = {w: f'firstbyte:slo_errors:ratio_rate{w}{{job=~"$job"}} / {BUDGET}'
            for w in ("5m", "1h", "6h", "3d")}
    return [
        panel("Error budget left, of three days", "percentunit",
              {"{{job}}": f'1 - firstbyte:slo_errors:ratio_rate3d{{job=~"$job"}} / {BUDGET}'}, kind="stat",
              about="99 % of the speech requests that the server had to answer have a first byte in 50 ms."),
        panel("Burn rate", "none", burn, line=14.4,
              about="1 uses up the budget exactly; 14.4 over 1 h and 5 m pages."),
        panel("Alerts", "none", {}, kind="alertlist"),
    ]


ROWS = {"Experience": experience, "Traffic and errors": traffic, "Engine": engine, "Worlds": worlds,
        "GPU": gpu, "Process": process, "SLO budget": budget}


def laid_out():
    """Three panels across, each with an id of its own."""
    panels, y = [], 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        members = row()
        for i, member in enumerate(members):
            member["gridPos"] = {"x": i % 3 * 8, "y": y + 1 + i // 3 * 8, "w": 8, "h": 8}
        panels += members
        y += 1 + (len(members) + 2) // 3 * 8
    for number, member in enumerate(panels, 1):
        member["id"] = number
    return panels


def variable(name, query):
    return {"name": name, "label": name, "type": "query", "datasource": SOURCE, "query": query,
            "definition": query, "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}}


def dashboard():
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
              "current": {}}
    names = [source, variable("job", "label_values(firstbyte_build_info, job)"),
             variable("instance", 'label_values(firstbyte_build_info{job=~"$job"}, instance)'),
             variable("model", 'label_values(firstbyte_slots{job=~"$job"}, model)')]
    return {"uid": "firstbyte", "title": "firstbyte", "tags": ["firstbyte"], "schemaVersion": 37,
            "version": 1, "editable": True, "timezone": "", "refresh": "10s",
            "time": {"from": "now-30m", "to": "now"}, "templating": {"list": names},
            "annotations": {"list": []}, "panels": laid_out()}


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "dashboards")
    target.mkdir(exist_ok=True)
    (target / "firstbyte.json").write_text(json.dumps(dashboard(), indent=1) + "\n")
