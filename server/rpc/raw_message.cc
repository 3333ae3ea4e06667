#include "server/rpc/raw_message.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "google/protobuf/unknown_field_set.h"
#include "grpcpp/impl/codegen/proto_utils.h"

namespace firstbyte {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

bool IsUtf8(const std::string& text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const int extra = *p < 0x80   ? 0
                      : *p < 0xC2 ? -1
                      : *p < 0xE0 ? 1
                      : *p < 0xF0 ? 2
                      : *p < 0xF5 ? 3
                                  : -1;
    if (extra < 0 || end - p <= extra) return false;
    for (int i = 1; i <= extra; ++i) {
      if ((p[i] & 0xC0) != 0x80) return false;
    }
    // Overlong forms, surrogates, beyond U+10FFFF: all show in the second byte.
    if ((*p == 0xE0 && p[1] < 0xA0) || (*p == 0xED && p[1] > 0x9F) || (*p == 0xF0 && p[1] < 0x90) ||
        (*p == 0xF4 && p[1] > 0x8F)) {
      return false;
    }
    p += extra + 1;
  }
  return true;
}

// Path of the first string in `fields`, the content of a `type`, that is not UTF-8; empty: none.
// Recursion ends with our schema, which has no recursive message.
std::string BadString(const UnknownFieldSet& fields, const Descriptor& type) {
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    const FieldDescriptor* known = type.FindFieldByNumber(field.number());
    if (!known || field.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    if (known->type() == FieldDescriptor::TYPE_STRING && !IsUtf8(field.length_delimited())) {
      return known->name();
    }
    UnknownFieldSet inner;
    if (!known->message_type() || !inner.ParseFromString(field.length_delimited())) continue;
    const std::string path = BadString(inner, *known->message_type());
    if (!path.empty()) return absl::StrCat(known->name(), ".", path);
  }
  return "";
}

}  // namespace

absl::Status Parse(const grpc::ByteBuffer& buffer, google::protobuf::Message* message) {
  grpc::ByteBuffer copy(buffer);  // counts references; the reader takes its argument apart
  grpc::ProtoBufferReader reader(&copy);
  if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  grpc::ByteBuffer again(buffer);
  grpc::ProtoBufferReader second(&again);
  UnknownFieldSet fields;
  if (second.status().ok() && fields.ParseFromZeroCopyStream(&second)) {
    const std::string path = BadString(fields, *message->GetDescriptor());
    if (!path.empty()) {
      return Invalid("INVALID_UTF8", absl::StrCat(path, " is not UTF-8"), path);
    }
  }
  return Invalid("MALFORMED_MESSAGE",
                 absl::StrCat("not a ", message->GetDescriptor()->full_name()));
}

grpc::ByteBuffer Serialize(const google::protobuf::Message& message) {
  grpc::ByteBuffer buffer;
  bool own = false;
  // Fails only over 2 GiB; an outbox holds far less.
  grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(message, &buffer,
                                                                             &own);
  return buffer;
}

}  // namespace firstbyte
