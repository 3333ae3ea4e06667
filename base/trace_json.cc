#include "base/trace_json.h"

#include <fstream>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

std::string NameOf(int thread) {
  std::ifstream file(absl::StrCat("/proc/self/task/", thread, "/comm"));
  std::string name;
  if (!std::getline(file, name)) return absl::StrCat("thread ", thread);
  return name;
}

// Quoted and escaped; a label may be cut in the middle of a character.
std::string Quoted(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

TraceJson::TraceJson(Tracer::Capture capture) : capture_(std::move(capture)) {}

std::string TraceJson::Next(size_t bytes) {
  std::string out;
  if (at_ == At::kHead) {
    Head(&out);
    at_ = At::kSpans;
  }
  while (next_ < capture_.spans.size() && out.size() < bytes) Add(capture_.spans[next_++], &out);
  if (at_ == At::kSpans && next_ == capture_.spans.size() && out.size() < bytes) {
    out += "\n]}\n";
    at_ = At::kEnd;
  }
  return out;
}

void TraceJson::Head(std::string* out) const {
  absl::StrAppend(out, R"({"displayTimeUnit":"ms","otherData":{"dropped_spans":)", capture_.dropped,
                  R"(},"traceEvents":[)", "\n",
                  R"({"ph":"M","name":"process_name","pid":1,"args":{"name":"firstbyted"}})");
  std::set<int> threads;
  for (const Span& span : capture_.spans) threads.insert(span.thread);
  for (int thread : threads) {
    absl::StrAppend(out, R"(,
{"ph":"M","name":"thread_name","pid":1,"tid":)",
                    thread, R"(,"args":{"name":)", Quoted(NameOf(thread)), "}}");
  }
}

void TraceJson::Add(const Span& span, std::string* out) const {
  const absl::Time zero = capture_.spans.front().begin;
  const double begin = absl::ToDoubleMicroseconds(span.begin - zero);
  const double end = absl::ToDoubleMicroseconds(span.end - zero);
  std::string args;
  if (span.label[0] != '\0') absl::StrAppend(&args, ",\"of\":", Quoted(span.label.data()));
  if (span.id != 0) absl::StrAppend(&args, ",\"session\":", span.id);
  if (span.batch != 0) absl::StrAppend(&args, ",\"batch\":", span.batch);
  if (span.frames != 0) absl::StrAppend(&args, ",\"frames\":", span.frames);
  const std::string name = Quoted(span.name);
  if (!args.empty()) args[0] = ' ';
  if (!span.apart) {
    absl::StrAppendFormat(out, R"(,
{"ph":"X","name":%s,"pid":1,"tid":%d,"ts":%.3f,"dur":%.3f,"args":{%s}})",
                          name, span.thread, begin, end - begin, args);
    return;
  }
  // A pair that has a track of its own; which one, its id says.
  const std::string id = Quoted(span.label.data());
  absl::StrAppendFormat(out, R"(,
{"ph":"b","cat":"stream","id":%s,"name":%s,"pid":1,"tid":%d,"ts":%.3f,"args":{%s}},
{"ph":"e","cat":"stream","id":%s,"name":%s,"pid":1,"tid":%d,"ts":%.3f})",
                        id, name, span.thread, begin, args, id, name, span.thread, end);
}

}  // namespace firstbyte
