#include "absl/strings/str_cat.h"
#include "tests/proto/proto_rules.h"

namespace firstbyte {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

std::string TypeOf(const FieldDescriptor& field) {
  if (field.message_type()) return field.message_type()->full_name();
  if (field.enum_type()) return field.enum_type()->full_name();
  return field.type_name();
}
std::string OneofOf(const FieldDescriptor& field) {
  return field.containing_oneof() ? field.containing_oneof()->name() : "";
}

class BreakingCheck {
 public:
  std::vector<std::string> Run(const FileDescriptor& before, const FileDescriptor& after) {
    if (before.package() != after.package()) Say(before.name(), "changed its package");
    for (int i = 0; i < before.message_type_count(); ++i) {
      const Descriptor& was = *before.message_type(i);
      Message(was, after.FindMessageTypeByName(was.name()));
    }
    for (int i = 0; i < before.enum_type_count(); ++i) {
      const EnumDescriptor& was = *before.enum_type(i);
      Enum(was, after.FindEnumTypeByName(was.name()));
    }
    for (int i = 0; i < before.service_count(); ++i) {
      const ServiceDescriptor& was = *before.service(i);
      Service(was, after.FindServiceByName(was.name()));
    }
    return std::move(changes_);
  }

 private:
  void Say(const std::string& what, const std::string& change) {
    changes_.push_back(absl::StrCat(what, ": ", change));
  }
  // False, and said so, when `now` is missing.
  template <typename D>
  bool Kept(const D& was, const D* now) {
    if (!now) Say(was.full_name(), "was deleted");
    return now != nullptr;
  }

  void Message(const Descriptor& was, const Descriptor* now) {
    if (!Kept(was, now)) return;
    for (int i = 0; i < was.field_count(); ++i) {
      Field(*was.field(i), now->FindFieldByNumber(was.field(i)->number()));
    }
    for (int i = 0; i < was.nested_type_count(); ++i) {
      Message(*was.nested_type(i), now->FindNestedTypeByName(was.nested_type(i)->name()));
    }
    for (int i = 0; i < was.enum_type_count(); ++i) {
      Enum(*was.enum_type(i), now->FindEnumTypeByName(was.enum_type(i)->name()));
    }
    for (int i = 0; i < was.reserved_range_count(); ++i) {
      for (int n = was.reserved_range(i)->start; n < was.reserved_range(i)->end; ++n) {
        if (!now->IsReservedNumber(n)) Say(was.full_name(), absl::StrCat("freed number ", n));
      }
    }
  }

  void Field(const FieldDescriptor& was, const FieldDescriptor* now) {
    if (!Kept(was, now)) return;
    if (was.name() != now->name()) Say(was.full_name(), "was renamed to " + now->name());
    if (TypeOf(was) != TypeOf(*now)) Say(was.full_name(), "changed type to " + TypeOf(*now));
    if (was.label() != now->label() || was.has_presence() != now->has_presence()) {
      Say(was.full_name(), "changed its label");
    }
    if (OneofOf(was) != OneofOf(*now)) Say(was.full_name(), "moved in or out of a oneof");
  }

  void Enum(const EnumDescriptor& was, const EnumDescriptor* now) {
    if (!Kept(was, now)) return;
    for (int i = 0; i < was.value_count(); ++i) {
      const auto* value = now->FindValueByNumber(was.value(i)->number());
      if (!Kept(*was.value(i), value)) continue;
      if (value->name() != was.value(i)->name()) {
        Say(was.value(i)->full_name(), "was renamed to " + value->name());
      }
    }
  }

  void Service(const ServiceDescriptor& was, const ServiceDescriptor* now) {
    if (!Kept(was, now)) return;
    for (int i = 0; i < was.method_count(); ++i) {
      Method(*was.method(i), now->FindMethodByName(was.method(i)->name()));
    }
  }

  void Method(const MethodDescriptor& was, const MethodDescriptor* now) {
    if (!Kept(was, now)) return;
    if (was.input_type()->full_name() != now->input_type()->full_name() ||
        was.output_type()->full_name() != now->output_type()->full_name()) {
      Say(was.full_name(), "changed its request or response");
    }
    if (was.client_streaming() != now->client_streaming() ||
        was.server_streaming() != now->server_streaming()) {
      Say(was.full_name(), "changed its streaming");
    }
  }

  std::vector<std::string> changes_;
};

}  // namespace

std::vector<std::string> BreakingChanges(const FileDescriptor& before,
                                         const FileDescriptor& after) {
  return BreakingCheck().Run(before, after);
}

}  // namespace firstbyte
