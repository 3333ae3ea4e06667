#include <cctype>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/descriptor.pb.h"
#include "tests/proto/proto_rules.h"

namespace firstbyte {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::OneofDescriptor;
using google::protobuf::ServiceDescriptor;
using google::protobuf::SourceLocation;

bool IsPascal(const std::string& name) {
  return std::regex_match(name, std::regex("([A-Z][a-z0-9]*)+"));
}
bool IsSnake(const std::string& name) {
  return std::regex_match(name, std::regex("[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*"));
}

// FooBar -> FOO_BAR
std::string UpperSnake(const std::string& pascal) {
  std::string out;
  for (char c : pascal) {
    if (std::isupper(static_cast<unsigned char>(c)) && !out.empty()) out += '_';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

class StyleCheck {
 public:
  std::vector<std::string> Run(const FileDescriptor& file) {
    CheckFile(file);
    for (int i = 0; i < file.message_type_count(); ++i) CheckMessage(*file.message_type(i));
    for (int i = 0; i < file.enum_type_count(); ++i) CheckEnum(*file.enum_type(i));
    for (int i = 0; i < file.service_count(); ++i) CheckService(*file.service(i));
    return std::move(violations_);
  }

 private:
  template <typename D>
  void Require(bool ok, const D& what, const std::string& rule) {
    if (!ok) violations_.push_back(absl::StrCat(what.full_name(), ": ", rule));
  }

  template <typename D>
  std::string Comment(const D& what) {
    SourceLocation location;
    return what.GetSourceLocation(&location) ? location.leading_comments : "";
  }
  template <typename D>
  void RequireComment(const D& what) {
    Require(!Comment(what).empty(), what, "has no leading comment");
  }

  void CheckFile(const FileDescriptor& file) {
    auto require = [&](bool ok, const char* rule) {
      if (!ok) violations_.push_back(absl::StrCat(file.name(), ": ", rule));
    };
    require(file.syntax() == FileDescriptor::SYNTAX_PROTO3, "is not proto3");
    require(std::regex_match(file.package(), std::regex("[a-z]+(\\.[a-z]+)*\\.v[0-9]+")),
            "package does not end in a version");
    size_t slash = file.name().rfind('/');
    std::string dir = slash == std::string::npos ? "" : file.name().substr(0, slash);
    require(dir == absl::StrReplaceAll(file.package(), {{".", "/"}}),
            "is not in its package's folder");
    require(std::regex_match(file.name().substr(slash + 1), std::regex("[a-z0-9_]+\\.proto")),
            "file name is not snake_case");
  }

  void CheckMessage(const Descriptor& message) {
    Require(IsPascal(message.name()), message, "is not PascalCase");
    RequireComment(message);
    for (int i = 0; i < message.field_count(); ++i) CheckField(*message.field(i));
    for (int i = 0; i < message.real_oneof_decl_count(); ++i) {
      const OneofDescriptor& oneof = *message.oneof_decl(i);
      Require(IsSnake(oneof.name()), oneof, "is not snake_case");
      RequireComment(oneof);
    }
    for (int i = 0; i < message.enum_type_count(); ++i) CheckEnum(*message.enum_type(i));
    for (int i = 0; i < message.nested_type_count(); ++i) {
      if (!message.nested_type(i)->options().map_entry()) CheckMessage(*message.nested_type(i));
    }
  }

  void CheckField(const FieldDescriptor& field) {
    Require(IsSnake(field.name()), field, "is not snake_case");
    RequireComment(field);
    Require(!std::regex_search(
                field.name(),
                std::regex("_(ns|us|ms|s|sec|secs|seconds|millis|micros|nanos|minutes)$")),
            field, "spells a unit of time: use google.protobuf.Duration");
    const bool names_length = absl::EndsWith(field.name(), "duration");
    const bool names_offset = absl::EndsWith(field.name(), "_offset");
    const std::string type = field.message_type() ? field.message_type()->full_name() : "";
    Require((type == "google.protobuf.Duration") == (names_length || names_offset), field,
            "a Duration is named *_duration or *_offset, and nothing else is");
    Require((type == "google.protobuf.Timestamp") == absl::EndsWith(field.name(), "_time"), field,
            "a Timestamp is named *_time, and nothing else is");
    Require(!names_offset || absl::StrContains(Comment(field), "from the first"), field,
            "the comment of an offset names its origin (\"from the first ...\")");
  }

  void CheckEnum(const EnumDescriptor& type) {
    Require(IsPascal(type.name()), type, "is not PascalCase");
    RequireComment(type);
    const std::string prefix = UpperSnake(type.name()) + "_";
    for (int i = 0; i < type.value_count(); ++i) {
      const auto& value = *type.value(i);
      Require(absl::StartsWith(value.name(), prefix), value, "lacks the enum's name as prefix");
      Require(std::regex_match(value.name(), std::regex("[A-Z][A-Z0-9_]*")), value,
              "is not UPPER_SNAKE_CASE");
      Require((value.number() == 0) == (value.name() == prefix + "UNSPECIFIED"), value,
              "zero, and only zero, is *_UNSPECIFIED");
      RequireComment(value);
    }
  }

  void CheckService(const ServiceDescriptor& service) {
    Require(IsPascal(service.name()) && absl::EndsWith(service.name(), "Service"), service,
            "is not named *Service");
    RequireComment(service);
    for (int i = 0; i < service.method_count(); ++i) CheckMethod(*service.method(i));
  }

  void CheckMethod(const MethodDescriptor& method) {
    Require(IsPascal(method.name()), method, "is not PascalCase");
    RequireComment(method);
    CheckMethodType(method, *method.input_type(), "Request", method.client_streaming());
    CheckMethodType(method, *method.output_type(), "Response", method.server_streaming());
  }

  void CheckMethodType(const MethodDescriptor& method, const Descriptor& type,
                       const std::string& suffix, bool streamed) {
    Require(type.name() == method.name() + suffix, method, "does not use its own *" + suffix);
    Require(used_.insert(type.full_name()).second, method, "shares its *" + suffix);
    if (!streamed || type.real_oneof_decl_count() == 0) return;
    const std::string want = suffix == "Request" ? "request" : "response";
    Require(type.real_oneof_decl_count() == 1 && type.oneof_decl(0)->name() == want, type,
            "the oneof of a streamed message is named '" + want + "'");
  }

  std::vector<std::string> violations_;
  std::set<std::string> used_;
};

}  // namespace

std::vector<std::string> StyleViolations(const FileDescriptor& file) {
  return StyleCheck().Run(file);
}

}  // namespace firstbyte
